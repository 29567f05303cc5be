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
INSERT INTO "batch" VALUES('version','1');
INSERT INTO "batch" VALUES('record','{"format": 1, "batch": "done", "pipeline": {"name": "greet", "description": "", "properties": [], "aligned": [], "steps": [{"name": "greet", "job": "command", "inputs": {}, "outputs": ["stdout.txt"], "options": {"command": ["sh", "-c", "sleep {property.seconds}; case {item} in b*) exit 65;; n*) exit 66;; esac; echo {item}"], "no_data_exit_code": 66}, "pack": {"size": 2, "sort_by": ""}, "resources": {"cpu": 1, "memory_mb": [1024], "gpus": 0}, "time_limit": 3600.0, "retry": {}}, {"name": "count", "job": "command", "inputs": {"text": "greet/stdout.txt"}, "outputs": ["count.txt"], "options": {"command": ["sh", "-c", "wc -c < {input.text} > {out}/count.txt"]}, "pack": {"size": 2, "sort_by": ""}, "resources": {"cpu": 1, "memory_mb": [1024], "gpus": 0}, "time_limit": 3600.0, "retry": {}}]}, "steps": ["greet", "count"], "model": "", "source": "done.ndjson", "output_root": "/batches/outputs", "log_dir": "/batches/local-logs", "cluster": "local", "slots": 1, "stop_threshold": 4, "resume_threshold": 3, "wait_seconds": 0.0, "items": 4, "items_sha256": "72c3d71e6b24ea381bf62664c0afdf55fba7960aed7d98f0640e4b5a4dc6e0e2", "skipped": [], "created_at": 1795295560.8703506, "version": "0.1.0"}');
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
    purged       INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO "dispatches" VALUES(1,0,'done--greet.pack-000001--a1v1','28c0e1a2b20b4383b6340ea41f7b0f6f',0,'ended','done--greet.pack-000001--a1v1-90741111ce94','',1.79529556112037014963e+09,1.79529556113096284866e+09,1.7952955626207020282e+09,0);
INSERT INTO "dispatches" VALUES(2,0,'done--greet.none-1--a1v1','671cf64e1cbf40debdad9e80d294185c',0,'ended','done--greet.none-1--a1v1-6704fc9f058d','',1.79529556113595557213e+09,1.79529556113808369641e+09,1.79529556388126039501e+09,0);
INSERT INTO "dispatches" VALUES(3,1,'done--count.fine-1--a1v1','a4bc8d5681b14001b90182a8b282e96c',0,'ended','done--count.fine-1--a1v1-ffe9b2c05406','',1.79529556263167572021e+09,1.79529556265322613717e+09,1795295565.63714,0);
INSERT INTO "dispatches" VALUES(4,0,'done--greet.fine-2--a1v1','5202760a97da4049876013845ce6175d',0,'ended','done--greet.fine-2--a1v1-e604ad8af307','',1.79529556389125657077e+09,1.79529556391488409041e+09,1.79529556734098100657e+09,0);
INSERT INTO "dispatches" VALUES(5,1,'done--count.fine-2--a1v1','59c62dcb38de4981a4711232c18bf14b',0,'ended','done--count.fine-2--a1v1-f68b01fa19ce','',1.7952955673426184654e+09,1.79529556735179495808e+09,1.79529556908653712267e+09,0);
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
INSERT INTO "events" VALUES(1,1.79529556107187247271e+09,'submitted',NULL,NULL,NULL,NULL,'4 items');
INSERT INTO "events" VALUES(2,1.79529556111037302021e+09,'started',NULL,NULL,NULL,NULL,'0 dispatches adopted, 0 sent again');
INSERT INTO "events" VALUES(3,1.79529556112062382705e+09,'claimed',1,NULL,'ready','claimed','');
INSERT INTO "events" VALUES(4,1.7952955611312887669e+09,'submitted',1,NULL,'claimed','submitted','');
INSERT INTO "events" VALUES(5,1.7952955611361851692e+09,'claimed',2,NULL,'ready','claimed','');
INSERT INTO "events" VALUES(6,1.79529556113822984699e+09,'submitted',2,NULL,'claimed','submitted','');
INSERT INTO "events" VALUES(7,1.7952955611716980934e+09,'running',1,NULL,'submitted','running','');
INSERT INTO "events" VALUES(8,1.79529556261592459671e+09,'running',2,NULL,'submitted','running','');
INSERT INTO "events" VALUES(9,1.79529556262040758136e+09,'succeeded',1,1,'running','succeeded','');
INSERT INTO "events" VALUES(10,1.79529556262061667443e+09,'failed',1,2,'running','failed','sh ended with exit code 65');
INSERT INTO "events" VALUES(11,1.79529556262071299547e+09,'ended',1,NULL,'running','ended','exit code 65');
INSERT INTO "events" VALUES(12,1.7952955626317870617e+09,'claimed',3,NULL,'ready','claimed','');
INSERT INTO "events" VALUES(13,1.79529556265340209005e+09,'submitted',3,NULL,'claimed','submitted','');
INSERT INTO "events" VALUES(14,1.79529556386360478401e+09,'running',3,NULL,'submitted','running','');
INSERT INTO "events" VALUES(15,1.7952955638812015057e+09,'no_data',2,3,'running','no_data','exit code 66');
INSERT INTO "events" VALUES(16,1.79529556388127279286e+09,'ended',2,NULL,'running','ended','exit code 0');
INSERT INTO "events" VALUES(17,1.79529556389136433604e+09,'claimed',4,NULL,'ready','claimed','');
INSERT INTO "events" VALUES(18,1.79529556391504597663e+09,'submitted',4,NULL,'claimed','submitted','');
INSERT INTO "events" VALUES(19,1.79529556562361550329e+09,'running',4,NULL,'submitted','running','');
INSERT INTO "events" VALUES(20,1.79529556563708448408e+09,'succeeded',3,5,'running','succeeded','');
INSERT INTO "events" VALUES(21,1.79529556563715171806e+09,'ended',3,NULL,'running','ended','exit code 0');
INSERT INTO "events" VALUES(22,1.79529556734089827535e+09,'succeeded',4,4,'running','succeeded','');
INSERT INTO "events" VALUES(23,1.79529556734099316602e+09,'ended',4,NULL,'running','ended','exit code 0');
INSERT INTO "events" VALUES(24,1.79529556734270119662e+09,'claimed',5,NULL,'ready','claimed','');
INSERT INTO "events" VALUES(25,1.79529556735194325452e+09,'submitted',5,NULL,'claimed','submitted','');
INSERT INTO "events" VALUES(26,1.79529556738828563692e+09,'running',5,NULL,'submitted','running','');
INSERT INTO "events" VALUES(27,1.79529556908648276324e+09,'succeeded',5,6,'running','succeeded','');
INSERT INTO "events" VALUES(28,1.79529556908654880529e+09,'ended',5,NULL,'running','ended','exit code 0');
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
