-- The ledger of one batch. Every change of a state leaves an event in the same transaction.

CREATE TABLE batch (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

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
CREATE INDEX items_by_state ON items (state, seq);

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
CREATE INDEX dispatches_out ON dispatches (id) WHERE state <> 'ended';

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
CREATE UNIQUE INDEX one_live_attempt ON attempts (item)
    WHERE state IN ('ready', 'claimed', 'submitted', 'running');
CREATE INDEX ready_attempts ON attempts (step, fresh, memory_step, sort_key, item)
    WHERE state = 'ready';
CREATE INDEX attempts_of_dispatch ON attempts (dispatch);

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
CREATE INDEX pauses ON events (id) WHERE action IN ('paused', 'resumed');

-- Counts that a million rows need not be read for.
CREATE TABLE item_tally (
    state TEXT NOT NULL, step INTEGER NOT NULL, kind TEXT NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (state, step, kind)
) STRICT, WITHOUT ROWID;
CREATE TABLE attempt_tally (
    step INTEGER NOT NULL, state TEXT NOT NULL, n INTEGER NOT NULL,
    cost INTEGER NOT NULL DEFAULT 0,  -- of their items, together; since format 3
    PRIMARY KEY (step, state)
) STRICT, WITHOUT ROWID;

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
-- Those of attempts are made by count_added and count_moved.
