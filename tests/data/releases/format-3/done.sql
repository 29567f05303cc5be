BEGIN TRANSACTION;
CREATE TABLE attempt_tally (
    step INTEGER NOT NULL, state TEXT NOT NULL, n INTEGER NOT NULL,
    cost INTEGER NOT NULL DEFAULT 0,  -- of their items, together; since format 3
    PRIMARY KEY (step, state)
) STRICT, WITHOUT ROWID;
INSERT INTO "attempt_tally" VALUES(0,'claimed',0,0);
INSERT INTO "attempt_tally" VALUES(0,'failed',1,1);
INSERT INTO "attempt_tally" VALUES(0,'no_data',1,1);
INSERT INTO "attempt_tally" VALUES(0,'ready',0,0);
INSERT INTO "attempt_tally" VALUES(0,'running',0,0);
INSERT INTO "attempt_tally" VALUES(0,'submitted',0,0);
INSERT INTO "attempt_tally" VALUES(0,'succeeded',2,2);
INSERT INTO "attempt_tally" VALUES(1,'claimed',0,0);
INSERT INTO "attempt_tally" VALUES(1,'ready',0,0);
INSERT INTO "attempt_tally" VALUES(1,'running',0,0);
INSERT INTO "attempt_tally" VALUES(1,'submitted',0,0);
INSERT INTO "attempt_tally" VALUES(1,'succeeded',2,2);
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
INSERT INTO "attempts" VALUES(2,1,0,1,1,'failed','bad_input','sh ended with exit code 65',0,'39',0,0.0,1,'[]');
INSERT INTO "attempts" VALUES(3,2,0,1,1,'no_data',NULL,'exit code 66',0,'39',0,0.0,2,'[{"name": "stdout.txt", "size": 0, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]');
INSERT INTO "attempts" VALUES(4,3,0,1,1,'succeeded',NULL,'',0,'39',0,0.0,4,'[{"name": "stdout.txt", "size": 7, "sha256": "a74d4fed4d24699be749f84378ec54fb77569e6f27d4216f93b35e21201e5b56"}]');
INSERT INTO "attempts" VALUES(5,0,1,1,1,'succeeded',NULL,'',0,'39',0,0.0,3,'[{"name": "count.txt", "size": 2, "sha256": "10159baf262b43a92d95db59dae1f72c645127301661e0a3ce4e38b295a97c58"}, {"name": "stdout.txt", "size": 0, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]');
INSERT INTO "attempts" VALUES(6,3,1,1,1,'succeeded',NULL,'',0,'39',0,0.0,5,'[{"name": "count.txt", "size": 2, "sha256": "10159baf262b43a92d95db59dae1f72c645127301661e0a3ce4e38b295a97c58"}, {"name": "stdout.txt", "size": 0, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]');
CREATE TABLE batch (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
INSERT INTO "batch" VALUES('version','3');
INSERT INTO "batch" VALUES('record','{"format": 1, "batch": "done", "pipeline": {"name": "greet", "description": "", "properties": [], "aligned": [], "output_root": "", "nomad": {"region": "", "namespace": "", "node_pool": "", "datacenters": [], "job_file": null, "vars": null}, "steps": [{"name": "greet", "job": "command", "inputs": {}, "outputs": ["stdout.txt"], "options": {"command": ["sh", "-c", "sleep {property.seconds}; case {item} in b*) exit 65;; n*) exit 66;; esac; echo {item}"], "no_data_exit_code": 66}, "pack": {"size": 2, "sort_by": "", "at_once": null}, "resources": {"cpu": 1, "memory_mb": [1024], "gpus": 0}, "time_limit": 3600.0, "retry": {}, "nomad": {"region": "", "namespace": "", "node_pool": "", "datacenters": [], "job_file": null, "vars": null}}, {"name": "count", "job": "command", "inputs": {"text": "greet/stdout.txt"}, "outputs": ["count.txt"], "options": {"command": ["sh", "-c", "wc -c < {input.text} > {out}/count.txt"]}, "pack": {"size": 2, "sort_by": "", "at_once": null}, "resources": {"cpu": 1, "memory_mb": [1024], "gpus": 0}, "time_limit": 3600.0, "retry": {}, "nomad": {"region": "", "namespace": "", "node_pool": "", "datacenters": [], "job_file": null, "vars": null}}]}, "steps": ["greet", "count"], "model": "", "source": "done.ndjson", "output_root": "/batches/outputs", "log_dir": "/batches/local-logs", "cluster": "local", "slots": 1, "stop_threshold": 4, "resume_threshold": 3, "wait_seconds": 0.0, "max_same_failure": 10, "use_local_creds": false, "keep_jobs": true, "save_ledger": false, "reach": {"hosts": [], "networks": []}, "uid": "f64ddb5e64d64fb6a75f336c023cbe18", "nomad": {"address": "http://127.0.0.1:4646", "namespace": "default", "region": ""}, "job_vars": "", "items": 4, "items_sha256": "72c3d71e6b24ea381bf62664c0afdf55fba7960aed7d98f0640e4b5a4dc6e0e2", "skipped": [], "created_at": 1795321611.5610461, "version": "0.1.0"}');
INSERT INTO "batch" VALUES('forecast','{"lanes": 1, "steps": [{"name": "greet", "job": "command", "packs": 3, "largest": 2, "tokens": 4, "gpus": 0, "hours": null}, {"name": "count", "job": "command", "packs": 2, "largest": 2, "tokens": 4, "gpus": 0, "hours": null}], "seconds": 0.0, "idle_share": 0.0, "load_share": 0.0, "basis": "", "is_whole": false, "gpu_hours": 0.0}');
INSERT INTO "batch" VALUES('rates','{"greet": {"packs": 3, "items": 4, "tokens": 3, "load": 0.033, "work": 0.033771514892578125, "first_at": 1795321612.190793, "last_at": 1795321614.480338}, "count": {"packs": 2, "items": 2, "tokens": 2, "load": 0.019, "work": 0.02588939666748047, "first_at": 1795321613.6924052, "last_at": 1795321615.7204244}}');
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
INSERT INTO "dispatches" VALUES(1,0,'done--greet.pack-000001--a1v1','c99139b0996447b59f5a479db5cc6fe0',0,'ended','done--greet.pack-000001--a1v1-1d725eafc437','',1.79532161165168118472e+09,1.79532161169960427287e+09,1.79532161244274473185e+09,0,'a-host');
INSERT INTO "dispatches" VALUES(2,0,'done--greet.none-1--a1v1','941ad85234f542e58c882ad5470bb897',0,'ended','done--greet.none-1--a1v1-8293c7e0508e','',1.79532161165168118472e+09,1.79532161169960427287e+09,1.79532161317738699914e+09,0,'a-host');
INSERT INTO "dispatches" VALUES(3,1,'done--count.fine-1--a1v1','9e5102b86d6a4045a2351c783fd3df5e',0,'ended','done--count.fine-1--a1v1-ad94f6d94abb','',1.7953216124551413059e+09,1.79532161247143149372e+09,1.79532161389607095719e+09,0,'a-host');
INSERT INTO "dispatches" VALUES(4,0,'done--greet.fine-2--a1v1','17455cbc0254488d8971ffa836516f7b',0,'ended','done--greet.fine-2--a1v1-9ea239d8765b','',1.79532161318370509146e+09,1795321613.20095,1.79532161483595442772e+09,0,'a-host');
INSERT INTO "dispatches" VALUES(5,1,'done--count.fine-2--a1v1','254989ebfde7481e836089481cec3115',0,'ended','done--count.fine-2--a1v1-4cf266c280e3','',1.79532161484764170647e+09,1.79532161486745572096e+09,1.79532161583270955082e+09,0,'a-host');
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
INSERT INTO "events" VALUES(1,1.79532161158411741256e+09,'submitted',NULL,NULL,NULL,NULL,'4 items');
INSERT INTO "events" VALUES(2,1.79532161163698673247e+09,'started',NULL,NULL,NULL,NULL,'0 dispatches adopted, 0 sent again');
INSERT INTO "events" VALUES(3,1.79532161165168118472e+09,'claimed',1,NULL,'ready','claimed','');
INSERT INTO "events" VALUES(4,1.79532161165168118472e+09,'claimed',2,NULL,'ready','claimed','');
INSERT INTO "events" VALUES(5,1.79532161169960427287e+09,'submitted',1,NULL,'claimed','submitted','');
INSERT INTO "events" VALUES(6,1.79532161169960427287e+09,'submitted',2,NULL,'claimed','submitted','');
INSERT INTO "events" VALUES(7,1.79532161175291132921e+09,'running',1,NULL,'submitted','running','');
INSERT INTO "events" VALUES(8,1.79532161243231034274e+09,'running',2,NULL,'submitted','running','');
INSERT INTO "events" VALUES(9,1.79532161244274473185e+09,'succeeded',1,1,'running','succeeded','');
INSERT INTO "events" VALUES(10,1.79532161244274473185e+09,'failed',1,2,'running','failed','sh ended with exit code 65');
INSERT INTO "events" VALUES(11,1.79532161244274473185e+09,'ended',1,NULL,'running','ended','exit code 65');
INSERT INTO "events" VALUES(12,1.7953216124551413059e+09,'claimed',3,NULL,'ready','claimed','');
INSERT INTO "events" VALUES(13,1.79532161247143149372e+09,'submitted',3,NULL,'claimed','submitted','');
INSERT INTO "events" VALUES(14,1.79532161315943527223e+09,'running',3,NULL,'submitted','running','');
INSERT INTO "events" VALUES(15,1.79532161317738699914e+09,'no_data',2,3,'running','no_data','exit code 66');
INSERT INTO "events" VALUES(16,1.79532161317738699914e+09,'ended',2,NULL,'running','ended','exit code 0');
INSERT INTO "events" VALUES(17,1.79532161318370509146e+09,'claimed',4,NULL,'ready','claimed','');
INSERT INTO "events" VALUES(18,1795321613.20095,'submitted',4,NULL,'claimed','submitted','');
INSERT INTO "events" VALUES(19,1.79532161388028502465e+09,'running',4,NULL,'submitted','running','');
INSERT INTO "events" VALUES(20,1.79532161389607095719e+09,'succeeded',3,5,'running','succeeded','');
INSERT INTO "events" VALUES(21,1.79532161389607095719e+09,'ended',3,NULL,'running','ended','exit code 0');
INSERT INTO "events" VALUES(22,1.79532161483595442772e+09,'succeeded',4,4,'running','succeeded','');
INSERT INTO "events" VALUES(23,1.79532161483595442772e+09,'ended',4,NULL,'running','ended','exit code 0');
INSERT INTO "events" VALUES(24,1.79532161484764170647e+09,'claimed',5,NULL,'ready','claimed','');
INSERT INTO "events" VALUES(25,1.79532161486745572096e+09,'submitted',5,NULL,'claimed','submitted','');
INSERT INTO "events" VALUES(26,1.79532161490741229057e+09,'running',5,NULL,'submitted','running','');
INSERT INTO "events" VALUES(27,1.79532161583270955082e+09,'succeeded',5,6,'running','succeeded','');
INSERT INTO "events" VALUES(28,1.79532161583270955082e+09,'ended',5,NULL,'running','ended','exit code 0');
CREATE TABLE item_tally (
    state TEXT NOT NULL, step INTEGER NOT NULL, kind TEXT NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (state, step, kind)
) STRICT, WITHOUT ROWID;
INSERT INTO "item_tally" VALUES('failed',0,'bad_input',1);
INSERT INTO "item_tally" VALUES('in_flight',0,'',0);
INSERT INTO "item_tally" VALUES('in_flight',1,'',0);
INSERT INTO "item_tally" VALUES('no_data',0,'',1);
INSERT INTO "item_tally" VALUES('succeeded',1,'',2);
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
INSERT INTO "items" VALUES(0,'fine-1','{"id": "fine-1", "collection": "", "assets": {}, "properties": {"seconds": "0"}, "cost": 1}','succeeded',1,1,NULL,1);
INSERT INTO "items" VALUES(1,'bad-1','{"id": "bad-1", "collection": "", "assets": {}, "properties": {"seconds": "0"}, "cost": 1}','failed',0,1,'bad_input',1);
INSERT INTO "items" VALUES(2,'none-1','{"id": "none-1", "collection": "", "assets": {}, "properties": {"seconds": "0"}, "cost": 1}','no_data',0,1,NULL,1);
INSERT INTO "items" VALUES(3,'fine-2','{"id": "fine-2", "collection": "", "assets": {}, "properties": {"seconds": "0"}, "cost": 1}','succeeded',1,1,NULL,1);
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
