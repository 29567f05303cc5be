BEGIN TRANSACTION;
CREATE TABLE attempt_tally (
    step INTEGER NOT NULL, state TEXT NOT NULL, n INTEGER NOT NULL,
    cost INTEGER NOT NULL DEFAULT 0,  -- of their items, together; since format 3
    PRIMARY KEY (step, state)
) STRICT, WITHOUT ROWID;
INSERT INTO "attempt_tally" VALUES(0,'claimed',0,0);
INSERT INTO "attempt_tally" VALUES(0,'ready',0,0);
INSERT INTO "attempt_tally" VALUES(0,'running',1,1);
INSERT INTO "attempt_tally" VALUES(0,'submitted',0,0);
INSERT INTO "attempt_tally" VALUES(0,'succeeded',2,2);
INSERT INTO "attempt_tally" VALUES(1,'claimed',2,2);
INSERT INTO "attempt_tally" VALUES(1,'ready',0,0);
CREATE TABLE attempts (
    id          INTEGER PRIMARY KEY,
    item        INTEGER NOT NULL REFERENCES items (seq),
    step        INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    round       INTEGER NOT NULL,
    state       TEXT NOT NULL,     -- an AttemptState
    kind        TEXT,
    reason      TEXT NOT NULL DEFAULT '',
    fresh       INTEGER NOT NULL,  -- 1 = starting it puts its item in flight
    sort_key    TEXT NOT NULL DEFAULT '',
    memory_step INTEGER NOT NULL DEFAULT 0,
    not_before  REAL NOT NULL DEFAULT 0,  -- epoch seconds
    dispatch    INTEGER REFERENCES dispatches (id),
    files       TEXT NOT NULL DEFAULT '[]',  -- what a success left: name, size, sha256
    UNIQUE (item, step, number)
) STRICT;
INSERT INTO "attempts" VALUES(1,0,0,1,1,'succeeded',NULL,'',0,'39',0,0.0,1,'[{"name": "stdout.txt", "size": 7, "sha256": "bfd0ac5795bbb18743fb87cf2d5cddf3c176bcbe673e331915e7bd437b8069fb"}]');
INSERT INTO "attempts" VALUES(2,1,0,1,1,'succeeded',NULL,'',0,'39',0,0.0,1,'[{"name": "stdout.txt", "size": 7, "sha256": "a74d4fed4d24699be749f84378ec54fb77569e6f27d4216f93b35e21201e5b56"}]');
INSERT INTO "attempts" VALUES(3,2,0,1,1,'running',NULL,'',0,'39',0,0.0,2,'[]');
INSERT INTO "attempts" VALUES(4,0,1,1,1,'claimed',NULL,'',0,'39',0,0.0,3,'[]');
INSERT INTO "attempts" VALUES(5,1,1,1,1,'claimed',NULL,'',0,'39',0,0.0,3,'[]');
CREATE TABLE batch (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
INSERT INTO "batch" VALUES('version','3');
INSERT INTO "batch" VALUES('record','{"format": 1, "batch": "half", "pipeline": {"name": "greet", "description": "", "properties": [], "aligned": [], "output_root": "", "nomad": {"region": "", "namespace": "", "node_pool": "", "datacenters": [], "job_file": null, "vars": null}, "steps": [{"name": "greet", "job": "command", "inputs": {}, "outputs": ["stdout.txt"], "options": {"command": ["sh", "-c", "sleep {property.seconds}; case {item} in b*) exit 65;; n*) exit 66;; esac; echo {item}"], "no_data_exit_code": 66}, "pack": {"size": 2, "sort_by": "", "at_once": null}, "resources": {"cpu": 1, "memory_mb": [1024], "gpus": 0}, "time_limit": 3600.0, "retry": {}, "nomad": {"region": "", "namespace": "", "node_pool": "", "datacenters": [], "job_file": null, "vars": null}}, {"name": "count", "job": "command", "inputs": {"text": "greet/stdout.txt"}, "outputs": ["count.txt"], "options": {"command": ["sh", "-c", "wc -c < {input.text} > {out}/count.txt"]}, "pack": {"size": 2, "sort_by": "", "at_once": null}, "resources": {"cpu": 1, "memory_mb": [1024], "gpus": 0}, "time_limit": 3600.0, "retry": {}, "nomad": {"region": "", "namespace": "", "node_pool": "", "datacenters": [], "job_file": null, "vars": null}}]}, "steps": ["greet", "count"], "model": "", "source": "half.ndjson", "output_root": "/batches/outputs", "log_dir": "/batches/local-logs", "cluster": "local", "slots": 1, "stop_threshold": 4, "resume_threshold": 3, "wait_seconds": 0.0, "max_same_failure": 10, "use_local_creds": false, "keep_jobs": true, "save_ledger": false, "reach": {"hosts": [], "networks": []}, "uid": "38caa4b7c37e458993aab1b44c041710", "nomad": {"address": "http://127.0.0.1:4646", "namespace": "default", "region": ""}, "job_vars": "", "items": 3, "items_sha256": "9c73c770624396ec46f16efcbc921a0de8bd7491a475f12460b86531cd3aa815", "skipped": [], "created_at": 1795321618.2273214, "version": "0.1.0"}');
INSERT INTO "batch" VALUES('forecast','{"lanes": 1, "steps": [{"name": "greet", "job": "command", "packs": 2, "largest": 2, "tokens": 3, "gpus": 0, "hours": 0.0005710476430257161}, {"name": "count", "job": "command", "packs": 2, "largest": 2, "tokens": 3, "gpus": 0, "hours": 0.0005716205819447836}], "seconds": 4.113605609893799, "idle_share": 0.0, "load_share": 0.9823498855312789, "basis": "done", "is_whole": true, "gpu_hours": 0.0}');
INSERT INTO "batch" VALUES('rates','{"greet": {"packs": 1, "items": 2, "tokens": 2, "load": 0.005, "work": 1.4169189929962158, "first_at": 1795321618.832963, "last_at": 1795321620.254882}}');
CREATE TABLE dispatches (
    id           INTEGER PRIMARY KEY,
    step         INTEGER NOT NULL,
    name         TEXT NOT NULL UNIQUE,
    token        TEXT NOT NULL UNIQUE,
    memory_step  INTEGER NOT NULL DEFAULT 0,
    state        TEXT NOT NULL,    -- claimed | submitted | running | ended
    job_id       TEXT,
    stop_reason  TEXT NOT NULL DEFAULT '',
    claimed_at   REAL NOT NULL,
    submitted_at REAL,
    ended_at     REAL,
    purged       INTEGER NOT NULL DEFAULT 0,
    node         TEXT NOT NULL DEFAULT ''  -- where it was first seen to run; since format 2
) STRICT;
INSERT INTO "dispatches" VALUES(1,0,'half--greet.pack-000001--a1v1','e57c1ac848804ea585b9177f683cdc2f',0,'ended','half--greet.pack-000001--a1v1-e1944e92507d','',1.79532161829221057888e+09,1.7953216183183181286e+09,1.79532162055809903144e+09,0,'a-host');
INSERT INTO "dispatches" VALUES(2,0,'half--greet.fine-3--a1v1','5c7c3d9d060d4901a83b39ead2d106a6',0,'running','half--greet.fine-3--a1v1-db6a46f440e6','',1.79532161829221057888e+09,1.7953216183183181286e+09,NULL,0,'a-host');
INSERT INTO "dispatches" VALUES(3,1,'half--count.pack-000003--a1v1','d99ffae169394d5c87952d203582ae80',0,'claimed',NULL,'',1.79532162057465529444e+09,NULL,NULL,0,'');
CREATE TABLE events (
    id       INTEGER PRIMARY KEY,
    at       REAL NOT NULL,        -- epoch seconds; order is by id
    action   TEXT NOT NULL,
    dispatch INTEGER,
    attempt  INTEGER,
    old      TEXT,
    new      TEXT,
    why      TEXT NOT NULL DEFAULT ''
) STRICT;
INSERT INTO "events" VALUES(1,1.79532161825336956982e+09,'submitted',NULL,NULL,NULL,NULL,'3 items');
INSERT INTO "events" VALUES(2,1.79532161828078365333e+09,'started',NULL,NULL,NULL,NULL,'0 dispatches adopted, 0 sent again');
INSERT INTO "events" VALUES(3,1.79532161829221057888e+09,'claimed',1,NULL,'ready','claimed','');
INSERT INTO "events" VALUES(4,1.79532161829221057888e+09,'claimed',2,NULL,'ready','claimed','');
INSERT INTO "events" VALUES(5,1.7953216183183181286e+09,'submitted',1,NULL,'claimed','submitted','');
INSERT INTO "events" VALUES(6,1.7953216183183181286e+09,'submitted',2,NULL,'claimed','submitted','');
INSERT INTO "events" VALUES(7,1.79532161835809016227e+09,'running',1,NULL,'submitted','running','');
INSERT INTO "events" VALUES(8,1.79532162055283284187e+09,'running',2,NULL,'submitted','running','');
INSERT INTO "events" VALUES(9,1.79532162055809903144e+09,'succeeded',1,1,'running','succeeded','');
INSERT INTO "events" VALUES(10,1.79532162055809903144e+09,'succeeded',1,2,'running','succeeded','');
INSERT INTO "events" VALUES(11,1.79532162055809903144e+09,'ended',1,NULL,'running','ended','exit code 0');
INSERT INTO "events" VALUES(12,1.79532162057465529444e+09,'claimed',3,NULL,'ready','claimed','');
CREATE TABLE item_tally (
    state TEXT NOT NULL, step INTEGER NOT NULL, kind TEXT NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (state, step, kind)
) STRICT, WITHOUT ROWID;
INSERT INTO "item_tally" VALUES('in_flight',0,'',1);
INSERT INTO "item_tally" VALUES('in_flight',1,'',2);
INSERT INTO "item_tally" VALUES('waiting',0,'',0);
CREATE TABLE items (
    seq      INTEGER PRIMARY KEY,  -- position in the item list
    id       TEXT NOT NULL UNIQUE,
    document TEXT NOT NULL,        -- the work item as JSON
    state    TEXT NOT NULL,        -- an ItemState
    step     INTEGER NOT NULL DEFAULT 0,
    round    INTEGER NOT NULL DEFAULT 1,  -- grows when the item is resubmitted
    kind     TEXT,                 -- a FailureKind, of a failed item
    cost     INTEGER NOT NULL DEFAULT 1  -- about how many tokens; since format 3
) STRICT;
INSERT INTO "items" VALUES(0,'fine-1','{"id": "fine-1", "collection": "", "assets": {}, "properties": {"seconds": "0.7"}, "cost": 1}','in_flight',1,1,NULL,1);
INSERT INTO "items" VALUES(1,'fine-2','{"id": "fine-2", "collection": "", "assets": {}, "properties": {"seconds": "0.7"}, "cost": 1}','in_flight',1,1,NULL,1);
INSERT INTO "items" VALUES(2,'fine-3','{"id": "fine-3", "collection": "", "assets": {}, "properties": {"seconds": "0.7"}, "cost": 1}','in_flight',0,1,NULL,1);
CREATE INDEX items_by_state ON items (state, seq);
CREATE INDEX dispatches_out ON dispatches (id) WHERE state <> 'ended';
CREATE UNIQUE INDEX one_live_attempt ON attempts (item)
    WHERE state IN ('ready', 'claimed', 'submitted', 'running');
CREATE INDEX ready_attempts ON attempts (step, fresh, memory_step, sort_key, item)
    WHERE state = 'ready';
CREATE INDEX attempts_of_dispatch ON attempts (dispatch);
CREATE INDEX pauses ON events (id) WHERE action IN ('paused', 'resumed');
CREATE TRIGGER items_added AFTER INSERT ON items BEGIN
    INSERT INTO item_tally VALUES (new.state, new.step, ifnull(new.kind, ''), 1)
    ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER items_moved AFTER UPDATE OF state, step, kind ON items BEGIN
    UPDATE item_tally SET n = n - 1
    WHERE state = old.state AND step = old.step AND kind = ifnull(old.kind, '');
    INSERT INTO item_tally VALUES (new.state, new.step, ifnull(new.kind, ''), 1)
    ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER attempts_added AFTER INSERT ON attempts BEGIN
    INSERT INTO attempt_tally (step, state, n, cost)
    SELECT new.step, new.state, 1, cost FROM items WHERE seq = new.item
    ON CONFLICT DO UPDATE SET n = n + 1, cost = cost + excluded.cost;
END;
CREATE TRIGGER attempts_moved AFTER UPDATE OF state ON attempts BEGIN
    UPDATE attempt_tally SET n = n - 1, cost = cost - (SELECT cost FROM items WHERE seq = old.item)
    WHERE step = old.step AND state = old.state;
    INSERT INTO attempt_tally (step, state, n, cost)
    SELECT new.step, new.state, 1, cost FROM items WHERE seq = new.item
    ON CONFLICT DO UPDATE SET n = n + 1, cost = cost + excluded.cost;
END;
COMMIT;
