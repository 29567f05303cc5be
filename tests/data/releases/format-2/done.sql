BEGIN TRANSACTION;
CREATE TABLE attempt_tally (
    step INTEGER NOT NULL, state TEXT NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (step, state)
) STRICT, WITHOUT ROWID;
INSERT INTO "attempt_tally" VALUES(0,'claimed',0);
INSERT INTO "attempt_tally" VALUES(0,'failed',1);
INSERT INTO "attempt_tally" VALUES(0,'no_data',1);
INSERT INTO "attempt_tally" VALUES(0,'ready',0);
INSERT INTO "attempt_tally" VALUES(0,'running',0);
INSERT INTO "attempt_tally" VALUES(0,'submitted',0);
INSERT INTO "attempt_tally" VALUES(0,'succeeded',2);
INSERT INTO "attempt_tally" VALUES(1,'claimed',0);
INSERT INTO "attempt_tally" VALUES(1,'ready',0);
INSERT INTO "attempt_tally" VALUES(1,'running',0);
INSERT INTO "attempt_tally" VALUES(1,'submitted',0);
INSERT INTO "attempt_tally" VALUES(1,'succeeded',2);
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
INSERT INTO "attempts" VALUES(1,0,0,1,1,'succeeded',NULL,'',0,'',0,0.0,1,'[{"name": "stdout.txt", "size": 7, "sha256": "bfd0ac5795bbb18743fb87cf2d5cddf3c176bcbe673e331915e7bd437b8069fb"}]');
INSERT INTO "attempts" VALUES(2,1,0,1,1,'failed','bad_input','sh ended with exit code 65',0,'',0,0.0,1,'[]');
INSERT INTO "attempts" VALUES(3,2,0,1,1,'no_data',NULL,'exit code 66',0,'',0,0.0,2,'[{"name": "stdout.txt", "size": 0, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]');
INSERT INTO "attempts" VALUES(4,3,0,1,1,'succeeded',NULL,'',0,'',0,0.0,4,'[{"name": "stdout.txt", "size": 7, "sha256": "a74d4fed4d24699be749f84378ec54fb77569e6f27d4216f93b35e21201e5b56"}]');
INSERT INTO "attempts" VALUES(5,0,1,1,1,'succeeded',NULL,'',0,'',0,0.0,3,'[{"name": "count.txt", "size": 2, "sha256": "10159baf262b43a92d95db59dae1f72c645127301661e0a3ce4e38b295a97c58"}, {"name": "stdout.txt", "size": 0, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]');
INSERT INTO "attempts" VALUES(6,3,1,1,1,'succeeded',NULL,'',0,'',0,0.0,5,'[{"name": "count.txt", "size": 2, "sha256": "10159baf262b43a92d95db59dae1f72c645127301661e0a3ce4e38b295a97c58"}, {"name": "stdout.txt", "size": 0, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]');
CREATE TABLE batch (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
INSERT INTO "batch" VALUES('version','2');
INSERT INTO "batch" VALUES('record','{"format": 1, "batch": "done", "pipeline": {"name": "greet", "description": "", "properties": [], "aligned": [], "output_root": "", "nomad": {"region": "", "namespace": "", "node_pool": "", "datacenters": [], "job_file": null, "vars": null}, "steps": [{"name": "greet", "job": "command", "inputs": {}, "outputs": ["stdout.txt"], "options": {"command": ["sh", "-c", "sleep {property.seconds}; case {item} in b*) exit 65;; n*) exit 66;; esac; echo {item}"], "no_data_exit_code": 66}, "pack": {"size": 2, "sort_by": ""}, "resources": {"cpu": 1, "memory_mb": [1024], "gpus": 0}, "time_limit": 3600.0, "retry": {}, "nomad": {"region": "", "namespace": "", "node_pool": "", "datacenters": [], "job_file": null, "vars": null}}, {"name": "count", "job": "command", "inputs": {"text": "greet/stdout.txt"}, "outputs": ["count.txt"], "options": {"command": ["sh", "-c", "wc -c < {input.text} > {out}/count.txt"]}, "pack": {"size": 2, "sort_by": ""}, "resources": {"cpu": 1, "memory_mb": [1024], "gpus": 0}, "time_limit": 3600.0, "retry": {}, "nomad": {"region": "", "namespace": "", "node_pool": "", "datacenters": [], "job_file": null, "vars": null}}]}, "steps": ["greet", "count"], "model": "", "source": "done.ndjson", "output_root": "/batches/outputs", "log_dir": "/batches/local-logs", "cluster": "local", "slots": 1, "stop_threshold": 4, "resume_threshold": 3, "wait_seconds": 0.0, "max_same_failure": 10, "use_local_creds": false, "keep_jobs": true, "save_ledger": false, "uid": "367b431bb5e84e15b53518030af471d9", "nomad": {"address": "http://127.0.0.1:4646", "namespace": "default", "region": ""}, "job_vars": "", "items": 4, "items_sha256": "72c3d71e6b24ea381bf62664c0afdf55fba7960aed7d98f0640e4b5a4dc6e0e2", "skipped": [], "created_at": 1795295580.4423745, "version": "0.1.0"}');
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
INSERT INTO "dispatches" VALUES(1,0,'done--greet.pack-000001--a1v1','dbd725d2c3454824b68b7691e446eaa7',0,'ended','done--greet.pack-000001--a1v1-11f7cd81bdd1','',1.79529558067672586436e+09,1.79529558071552777288e+09,1.79529558247911167146e+09,0,'a-host');
INSERT INTO "dispatches" VALUES(2,0,'done--greet.none-1--a1v1','ea71d4135cd74ea3b8fbd55ce74a6b8e',0,'ended','done--greet.none-1--a1v1-e86c1d6ff6b9','',1.79529558067672586436e+09,1.79529558071552777288e+09,1.79529558372236609461e+09,0,'a-host');
INSERT INTO "dispatches" VALUES(3,1,'done--count.fine-1--a1v1','b81c2cc02e14419293aef57bb66fbb24',0,'ended','done--count.fine-1--a1v1-d1341b1ac709','',1.79529558252632546423e+09,1795295582.53298,1.79529558524038195606e+09,0,'a-host');
INSERT INTO "dispatches" VALUES(4,0,'done--greet.fine-2--a1v1','36c82346cd834bd980a952ead53abf8d',0,'ended','done--greet.fine-2--a1v1-28f0562c6e75','',1.79529558373596930505e+09,1.79529558375961542128e+09,1.79529558642918109895e+09,0,'a-host');
INSERT INTO "dispatches" VALUES(5,1,'done--count.fine-2--a1v1','f7f50adbae0042aa8c1b2a7937d3d559',0,'ended','done--count.fine-2--a1v1-b7a89b7b2e1d','',1.79529558643183374411e+09,1.79529558643702936166e+09,1.79529558740188407896e+09,0,'a-host');
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
INSERT INTO "events" VALUES(1,1.79529558060779500009e+09,'submitted',NULL,NULL,NULL,NULL,'4 items');
INSERT INTO "events" VALUES(2,1.79529558065762543674e+09,'started',NULL,NULL,NULL,NULL,'0 dispatches adopted, 0 sent again');
INSERT INTO "events" VALUES(3,1.79529558067672586436e+09,'claimed',1,NULL,'ready','claimed','');
INSERT INTO "events" VALUES(4,1.79529558067672586436e+09,'claimed',2,NULL,'ready','claimed','');
INSERT INTO "events" VALUES(5,1.79529558071552777288e+09,'submitted',1,NULL,'claimed','submitted','');
INSERT INTO "events" VALUES(6,1.79529558071552777288e+09,'submitted',2,NULL,'claimed','submitted','');
INSERT INTO "events" VALUES(7,1.79529558075548291203e+09,'running',1,NULL,'submitted','running','');
INSERT INTO "events" VALUES(8,1.79529558246191191673e+09,'running',2,NULL,'submitted','running','');
INSERT INTO "events" VALUES(9,1.7952955824788126946e+09,'succeeded',1,1,'running','succeeded','');
INSERT INTO "events" VALUES(10,1.79529558247902417183e+09,'failed',1,2,'running','failed','sh ended with exit code 65');
INSERT INTO "events" VALUES(11,1.79529558247914361956e+09,'ended',1,NULL,'running','ended','exit code 65');
INSERT INTO "events" VALUES(12,1.79529558252632546423e+09,'claimed',3,NULL,'ready','claimed','');
INSERT INTO "events" VALUES(13,1795295582.53298,'submitted',3,NULL,'claimed','submitted','');
INSERT INTO "events" VALUES(14,1.79529558371542572979e+09,'running',3,NULL,'submitted','running','');
INSERT INTO "events" VALUES(15,1.79529558372230601311e+09,'no_data',2,3,'running','no_data','exit code 66');
INSERT INTO "events" VALUES(16,1.7952955837223780155e+09,'ended',2,NULL,'running','ended','exit code 0');
INSERT INTO "events" VALUES(17,1.79529558373596930505e+09,'claimed',4,NULL,'ready','claimed','');
INSERT INTO "events" VALUES(18,1.79529558375961542128e+09,'submitted',4,NULL,'claimed','submitted','');
INSERT INTO "events" VALUES(19,1.79529558522354102138e+09,'running',4,NULL,'submitted','running','');
INSERT INTO "events" VALUES(20,1.79529558524032020567e+09,'succeeded',3,5,'running','succeeded','');
INSERT INTO "events" VALUES(21,1.79529558524039459235e+09,'ended',3,NULL,'running','ended','exit code 0');
INSERT INTO "events" VALUES(22,1.79529558642909717563e+09,'succeeded',4,4,'running','succeeded','');
INSERT INTO "events" VALUES(23,1.79529558642919373511e+09,'ended',4,NULL,'running','ended','exit code 0');
INSERT INTO "events" VALUES(24,1.79529558643183374411e+09,'claimed',5,NULL,'ready','claimed','');
INSERT INTO "events" VALUES(25,1.79529558643702936166e+09,'submitted',5,NULL,'claimed','submitted','');
INSERT INTO "events" VALUES(26,1.79529558647239804265e+09,'running',5,NULL,'submitted','running','');
INSERT INTO "events" VALUES(27,1.79529558740182709698e+09,'succeeded',5,6,'running','succeeded','');
INSERT INTO "events" VALUES(28,1.7952955874018959999e+09,'ended',5,NULL,'running','ended','exit code 0');
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
    kind     TEXT                  -- a FailureKind, of a failed item
) STRICT;
INSERT INTO "items" VALUES(0,'fine-1','{"id": "fine-1", "collection": "", "assets": {}, "properties": {"seconds": "0"}}','succeeded',1,1,NULL);
INSERT INTO "items" VALUES(1,'bad-1','{"id": "bad-1", "collection": "", "assets": {}, "properties": {"seconds": "0"}}','failed',0,1,'bad_input');
INSERT INTO "items" VALUES(2,'none-1','{"id": "none-1", "collection": "", "assets": {}, "properties": {"seconds": "0"}}','no_data',0,1,NULL);
INSERT INTO "items" VALUES(3,'fine-2','{"id": "fine-2", "collection": "", "assets": {}, "properties": {"seconds": "0"}}','succeeded',1,1,NULL);
CREATE INDEX items_by_state ON items (state, seq);
CREATE INDEX dispatches_out ON dispatches (id) WHERE state <> 'ended';
CREATE UNIQUE INDEX one_live_attempt ON attempts (item)
    WHERE state IN ('ready', 'claimed', 'submitted', 'running');
CREATE INDEX ready_attempts ON attempts (step, fresh, memory_step, sort_key, item)
    WHERE state = 'ready';
CREATE INDEX attempts_of_dispatch ON attempts (dispatch);
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
    INSERT INTO attempt_tally VALUES (new.step, new.state, 1)
    ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER attempts_moved AFTER UPDATE OF state ON attempts BEGIN
    UPDATE attempt_tally SET n = n - 1 WHERE step = old.step AND state = old.state;
    INSERT INTO attempt_tally VALUES (new.step, new.state, 1)
    ON CONFLICT DO UPDATE SET n = n + 1;
END;
COMMIT;
