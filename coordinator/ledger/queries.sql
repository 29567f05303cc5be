-- name: set_value
INSERT INTO batch VALUES (:key, :value) ON CONFLICT DO UPDATE SET value = excluded.value

-- name: is_ledger
SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'batch'

-- name: values
SELECT key, value FROM batch

-- name: add_item
INSERT INTO items (seq, id, document, state, cost) VALUES (:seq, :id, :document, 'waiting', :cost)

-- name: add_first_attempt
INSERT INTO attempts (item, step, number, round, state, fresh, sort_key)
VALUES (:seq, 0, 1, 1, 'ready', 1, :sort_key)

-- name: add_attempts
INSERT INTO attempts (item, step, number, round, state, fresh, sort_key, memory_step, not_before)
SELECT new.item, new.step,
       (SELECT ifnull(max(number), 0) + 1 FROM attempts WHERE item = new.item AND step = new.step),
       new.round, 'ready', 0, new.sort_key, new.memory_step, new.not_before
FROM (SELECT json_extract(value, '$[0]') AS item, json_extract(value, '$[1]') AS step,
             json_extract(value, '$[2]') AS round, json_extract(value, '$[3]') AS sort_key,
             json_extract(value, '$[4]') AS memory_step, json_extract(value, '$[5]') AS not_before
      FROM json_each(:rows)) AS new

-- name: next_dispatch
SELECT ifnull(max(id), 0) + 1 FROM dispatches

-- name: add_dispatches
INSERT INTO dispatches (id, step, name, token, memory_step, state, claimed_at)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
       json_extract(value, '$[3]'), json_extract(value, '$[4]'), 'claimed', json_extract(value, '$[5]')
FROM json_each(:dispatches)

-- name: claim_attempts
UPDATE attempts SET state = 'claimed', dispatch = claimed.dispatch, fresh = 0
FROM (SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS dispatch
      FROM json_each(:attempts)) AS claimed
WHERE attempts.id = claimed.id AND attempts.state = 'ready'

-- name: start_items
UPDATE items SET state = 'in_flight'
WHERE state = 'waiting' AND seq IN (
    SELECT item FROM attempts
    WHERE id IN (SELECT json_extract(value, '$[0]') FROM json_each(:attempts)))

-- name: record_claims
INSERT INTO events (at, action, dispatch, attempt, old, new, why)
SELECT json_extract(value, '$[5]'), 'claimed', json_extract(value, '$[0]'), NULL, 'ready', 'claimed', :why
FROM json_each(:dispatches)

-- name: move_dispatches
UPDATE dispatches
SET state = :new, job_id = ifnull(moved.job_id, dispatches.job_id),
    submitted_at = CASE WHEN :new = 'submitted' THEN :now ELSE submitted_at END
FROM (SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS job_id FROM json_each(:moved)) AS moved
WHERE dispatches.id = moved.id AND dispatches.state = :old

-- name: move_attempts_of_dispatches
UPDATE attempts SET state = :new
WHERE dispatch IN (SELECT json_extract(value, '$[0]') FROM json_each(:moved)) AND state = :old

-- name: record_moves
INSERT INTO events (at, action, dispatch, attempt, old, new, why)
SELECT :now, :new, json_extract(value, '$[0]'), NULL, :old, :new, '' FROM json_each(:moved)

-- name: end_attempts
UPDATE attempts SET state = ended.new, kind = ended.kind, reason = ended.reason, files = ended.files
FROM (SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS dispatch,
             json_extract(value, '$[2]') AS old, json_extract(value, '$[3]') AS new,
             json_extract(value, '$[4]') AS kind, json_extract(value, '$[5]') AS reason,
             json_extract(value, '$[6]') AS files
      FROM json_each(:rows)) AS ended
WHERE attempts.id = ended.id AND attempts.dispatch = ended.dispatch AND attempts.state = ended.old

-- name: left_behind
SELECT d.name, count(*) AS n FROM attempts a JOIN dispatches d ON d.id = a.dispatch
WHERE a.dispatch IN (SELECT value FROM json_each(:dispatches))
      AND a.state IN ('ready', 'claimed', 'submitted', 'running')
GROUP BY a.dispatch

-- name: end_dispatches
UPDATE dispatches SET state = 'ended', ended_at = :now
FROM (SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS old
      FROM json_each(:rows)) AS ended
WHERE dispatches.id = ended.id AND dispatches.state = ended.old

-- name: finish_items
UPDATE items SET state = ended.state, kind = ended.kind
FROM (SELECT json_extract(value, '$[0]') AS seq, json_extract(value, '$[1]') AS state,
             json_extract(value, '$[2]') AS kind
      FROM json_each(:rows)) AS ended
WHERE items.seq = ended.seq AND +items.state = 'in_flight'

-- name: finish_item
UPDATE items SET state = :state, kind = :kind WHERE seq = :item AND state = :old

-- name: advance_items
UPDATE items SET step = ended.step
FROM (SELECT json_extract(value, '$[0]') AS seq, json_extract(value, '$[1]') AS step
      FROM json_each(:rows)) AS ended
WHERE items.seq = ended.seq AND +items.state = 'in_flight'

-- name: record_event
INSERT INTO events (at, action, dispatch, attempt, old, new, why)
VALUES (:at, :action, :dispatch, :attempt, :old, :new, :why)

-- name: record_events
INSERT INTO events (at, action, dispatch, attempt, old, new, why)
SELECT :at, json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
       json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]')
FROM json_each(:rows)

-- name: dispatches_out
SELECT d.*, (SELECT count(*) FROM attempts a WHERE a.dispatch = d.id) AS size
FROM dispatches d WHERE d.state <> 'ended' ORDER BY d.id

-- name: out_count
SELECT count(*) FROM dispatches WHERE state <> 'ended'

-- name: out_by_step
SELECT step, count(*) AS n FROM dispatches WHERE state <> 'ended' GROUP BY step

-- name: dispatch
SELECT d.*, (SELECT count(*) FROM attempts a WHERE a.dispatch = d.id) AS size
FROM dispatches d WHERE d.id = :id

-- name: attempts_of_dispatch
SELECT a.*, i.id AS item_id, i.document AS document
FROM attempts a JOIN items i ON i.seq = a.item WHERE a.dispatch = :dispatch ORDER BY a.id

-- name: ready
SELECT a.*, i.id AS item_id, i.document AS document
FROM attempts a JOIN items i ON i.seq = a.item
WHERE a.state = 'ready' AND a.step = :step AND a.fresh = :fresh
      AND a.memory_step = :memory_step AND a.not_before <= :now
ORDER BY a.sort_key, a.item LIMIT :limit

-- name: first_memory_step
SELECT memory_step FROM attempts
WHERE state = 'ready' AND step = :step AND fresh = :fresh AND not_before <= :now
ORDER BY memory_step LIMIT 1

-- name: ready_of_first
SELECT a.*, i.id AS item_id, i.document AS document
FROM items i CROSS JOIN attempts a ON a.item = i.seq AND a.step = :step
WHERE i.seq < :first AND +a.state = 'ready' AND +a.fresh = :fresh
      AND +a.memory_step = :memory_step AND a.not_before <= :now
ORDER BY a.sort_key, a.item LIMIT :limit

-- name: first_memory_step_of_first
SELECT a.memory_step FROM items i CROSS JOIN attempts a ON a.item = i.seq AND a.step = :step
WHERE i.seq < :first AND +a.state = 'ready' AND +a.fresh = :fresh AND a.not_before <= :now
ORDER BY a.memory_step LIMIT 1

-- name: states_of_first
SELECT state, count(*) AS n FROM items WHERE seq < :first GROUP BY state

-- name: winners
SELECT step, number, files FROM attempts
WHERE item = :item AND step < :step AND state = 'succeeded' ORDER BY step, number

-- name: failures_of_round
SELECT kind, count(*) AS n FROM attempts
WHERE item = :item AND step = :step AND round = :round AND kind IS NOT NULL GROUP BY kind

-- name: item_tally
SELECT state, step, kind, n FROM item_tally WHERE n > 0

-- name: attempt_tally
SELECT * FROM attempt_tally WHERE n > 0

-- name: item_ids
SELECT id FROM items ORDER BY seq

-- name: ids_before
SELECT id FROM items WHERE id < :word ORDER BY id DESC LIMIT :limit

-- name: ids_from
SELECT id FROM items WHERE id >= :word ORDER BY id LIMIT :limit

-- name: documents
SELECT document FROM items ORDER BY seq

-- name: known_ids
SELECT id FROM items WHERE id IN (SELECT value FROM json_each(:ids))

-- name: states_of
SELECT id, state FROM items WHERE id IN (SELECT value FROM json_each(:ids))

-- name: items_ended
SELECT i.seq, i.id, i.state, i.step, i.kind, i.round, a.number, a.reason, a.dispatch,
       d.name AS dispatch_name, a.memory_step
FROM items i
LEFT JOIN attempts a ON a.id = (SELECT max(id) FROM attempts WHERE item = i.seq)
LEFT JOIN dispatches d ON d.id = a.dispatch
WHERE i.state IN (SELECT value FROM json_each(:states)) ORDER BY i.seq

-- name: item_history
SELECT a.*, i.id AS item_id, d.name AS dispatch_name, d.job_id FROM attempts a
JOIN items i ON i.seq = a.item LEFT JOIN dispatches d ON d.id = a.dispatch
WHERE i.id = :id ORDER BY a.id

-- name: reopen_items
UPDATE items SET state = 'waiting', kind = NULL, round = round + 1
WHERE seq IN (SELECT value FROM json_each(:rows)) AND state IN ('failed', 'stopped')

-- name: add_reopened
INSERT INTO attempts (item, step, number, round, state, fresh, sort_key, memory_step)
SELECT i.seq, a.step,
       (SELECT max(number) + 1 FROM attempts WHERE item = i.seq AND step = a.step),
       i.round, 'ready', 1, a.sort_key, a.memory_step
FROM items i JOIN attempts a ON a.id = (SELECT max(id) FROM attempts WHERE item = i.seq)
WHERE i.seq IN (SELECT value FROM json_each(:rows))

-- name: set_stop_reason
UPDATE dispatches SET stop_reason = :reason WHERE id = :dispatch AND stop_reason = ''

-- name: purgeable
SELECT d.*, 0 AS size FROM dispatches d
WHERE d.job_id IS NOT NULL AND d.purged = 0 AND (d.state = 'ended' OR :running) ORDER BY d.id

-- name: mark_purged
UPDATE dispatches SET purged = 1 WHERE id IN (SELECT value FROM json_each(:rows))

-- name: record_purged
INSERT INTO events (at, action, dispatch, attempt, old, new, why)
SELECT :at, 'purged', value, NULL, NULL, NULL, '' FROM json_each(:rows)

-- name: document_of
SELECT document FROM items WHERE id = :id

-- name: state_of
SELECT state FROM items WHERE id = :id

-- name: ready_before
SELECT count(*) FROM attempts a, (SELECT * FROM attempts WHERE id = :attempt) m
WHERE a.state = 'ready' AND a.not_before <= :now
      AND (a.fresh < m.fresh OR (a.fresh = m.fresh AND (a.step > m.step OR (a.step = m.step
           AND (a.memory_step, a.sort_key, a.item) < (m.memory_step, m.sort_key, m.item)))))

-- name: last_note
SELECT * FROM events WHERE id > (SELECT ifnull(max(id), 0) FROM events) - :most
      AND action IN (SELECT value FROM json_each(:actions)) ORDER BY id DESC LIMIT 1

-- name: events
SELECT * FROM events ORDER BY id

-- name: moments
SELECT * FROM events WHERE dispatch IS NULL AND attempt IS NULL ORDER BY id

-- name: last_event
SELECT ifnull(max(id), 0) FROM events

-- name: newest_events
SELECT * FROM (SELECT * FROM events ORDER BY id DESC LIMIT :limit) ORDER BY id

-- name: last_event_at
SELECT at FROM events ORDER BY id DESC LIMIT 1

-- name: integrity
PRAGMA integrity_check(1)

-- name: strange_words
SELECT 'items' AS name, state FROM items WHERE state NOT IN (SELECT value FROM json_each(:items))
UNION ALL
SELECT 'attempts', state FROM attempts WHERE state NOT IN (SELECT value FROM json_each(:attempts))
UNION ALL
SELECT 'dispatches', state FROM dispatches
WHERE state <> 'ended' AND state NOT IN (SELECT value FROM json_each(:out))
UNION ALL
SELECT 'items', kind FROM items
WHERE kind IS NOT NULL AND kind NOT IN (SELECT value FROM json_each(:kinds))
UNION ALL
SELECT 'attempts', kind FROM attempts
WHERE kind IS NOT NULL AND kind NOT IN (SELECT value FROM json_each(:kinds))
UNION ALL
SELECT 'dispatches', stop_reason FROM dispatches
WHERE stop_reason NOT IN (SELECT value FROM json_each(:reasons))
UNION ALL
SELECT 'items', 'no document' FROM items WHERE NOT json_valid(document)
UNION ALL
SELECT 'attempts', 'no list of files' FROM attempts WHERE NOT json_valid(files)
LIMIT 1

-- name: wrong_counts
SELECT * FROM (
    SELECT state, step, ifnull(kind, ''), count(*) FROM items GROUP BY 1, 2, 3
    EXCEPT SELECT state, step, kind, n FROM item_tally)
UNION ALL
SELECT * FROM (
    SELECT '', step, state, count(*) FROM attempts GROUP BY 2, 3
    EXCEPT SELECT '', step, state, n FROM attempt_tally)
UNION ALL
SELECT '', a.step, a.state, a.id FROM attempts a JOIN dispatches d ON d.id = a.dispatch
WHERE a.state IN (SELECT value FROM json_each(:out)) AND a.state <> d.state
LIMIT 1

-- name: last_pause
SELECT action FROM events WHERE action IN ('paused', 'resumed') ORDER BY id DESC LIMIT 1

-- name: pace
SELECT a.step, count(*) AS n, min(d.claimed_at) AS since
FROM dispatches d JOIN attempts a ON a.dispatch = d.id
WHERE d.ended_at > :after AND a.state IN ('succeeded', 'no_data')
GROUP BY a.step

-- name: failed_example
SELECT i.id, (SELECT reason FROM attempts WHERE item = i.seq ORDER BY id DESC LIMIT 1) AS reason
FROM items i WHERE i.state = 'failed' AND i.kind = :kind ORDER BY i.seq DESC LIMIT 1

-- name: events_after
SELECT * FROM events WHERE id > :id AND action IN (SELECT value FROM json_each(:actions))
ORDER BY id

-- name: data_version
PRAGMA data_version

-- name: live_of
SELECT i.id AS item, a.dispatch FROM items i JOIN attempts a ON a.item = i.seq
WHERE i.id IN (SELECT value FROM json_each(:items))
      AND a.state IN ('ready', 'claimed', 'submitted', 'running')

-- name: ready_of
SELECT a.id AS attempt, i.seq, i.state FROM items i JOIN attempts a ON a.item = i.seq
WHERE i.id IN (SELECT value FROM json_each(:items)) AND a.state = 'ready'

-- name: stop_attempt
UPDATE attempts SET state = 'stopped', kind = :kind, reason = :reason
WHERE id = :attempt AND state = 'ready'

-- name: set_nodes
UPDATE dispatches SET node = seen.node
FROM (SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS node
      FROM json_each(:rows)) AS seen
WHERE dispatches.id = seen.id

-- name: has_node
SELECT 1 FROM pragma_table_info('dispatches') WHERE name = 'node'

-- name: add_pauses
CREATE INDEX IF NOT EXISTS pauses ON events (id) WHERE action IN ('paused', 'resumed')

-- name: add_node
ALTER TABLE dispatches ADD COLUMN node TEXT NOT NULL DEFAULT ''

-- name: has_cost
SELECT 1 FROM pragma_table_info('items') WHERE name = 'cost'

-- name: add_cost
ALTER TABLE items ADD COLUMN cost INTEGER NOT NULL DEFAULT 1

-- name: add_cost_tally
ALTER TABLE attempt_tally ADD COLUMN cost INTEGER NOT NULL DEFAULT 0

-- name: fill_cost_tally
UPDATE attempt_tally SET cost = n

-- name: drop_added
DROP TRIGGER attempts_added

-- name: drop_moved
DROP TRIGGER attempts_moved

-- name: count_added
CREATE TRIGGER attempts_added AFTER INSERT ON attempts BEGIN
    INSERT INTO attempt_tally (step, state, n, cost)
    SELECT new.step, new.state, 1, cost FROM items WHERE seq = new.item
    ON CONFLICT DO UPDATE SET n = n + 1, cost = cost + excluded.cost;
END

-- name: count_moved
CREATE TRIGGER attempts_moved AFTER UPDATE OF state ON attempts BEGIN
    UPDATE attempt_tally SET n = n - 1, cost = cost - (SELECT cost FROM items WHERE seq = old.item)
    WHERE step = old.step AND state = old.state;
    INSERT INTO attempt_tally (step, state, n, cost)
    SELECT new.step, new.state, 1, cost FROM items WHERE seq = new.item
    ON CONFLICT DO UPDATE SET n = n + 1, cost = cost + excluded.cost;
END

-- name: costs
SELECT cost, step, state IN ('waiting', 'in_flight') AS is_left FROM items ORDER BY seq

-- name: costs_before
SELECT 1 AS cost, step, state IN ('waiting', 'in_flight') AS is_left FROM items ORDER BY seq

-- name: published
SELECT a.files FROM items i JOIN attempts a ON a.item = i.seq
WHERE i.id = :id AND a.state IN ('succeeded', 'no_data')
      AND NOT EXISTS (
          SELECT 1 FROM attempts AS newer
          WHERE newer.item = a.item AND newer.step <= a.step AND newer.id > a.id
                AND newer.state IN ('succeeded', 'no_data'))
ORDER BY a.step

-- name: files_replaced
SELECT files FROM attempts
WHERE item = :item AND step >= :step AND id <> :attempt AND state IN ('succeeded', 'no_data')

-- name: finished_from
SELECT id, seq, round FROM items
WHERE state IN ('succeeded', 'no_data', 'failed', 'stopped') AND step >= :step
      AND (:ids IS NULL OR id IN (SELECT value FROM json_each(:ids)))
ORDER BY seq

-- name: redo_items
UPDATE items SET state = 'waiting', step = :step, kind = NULL, round = items.round + 1
FROM (SELECT json_extract(value, '$[0]') AS seq, json_extract(value, '$[1]') AS round
      FROM json_each(:rows)) AS asked
WHERE items.seq = asked.seq AND items.round = asked.round AND items.step >= :step
      AND items.state IN ('succeeded', 'no_data', 'failed', 'stopped')

-- name: add_redone
INSERT INTO attempts (item, step, number, round, state, fresh, sort_key, memory_step)
SELECT i.seq, :step, a.number + 1, i.round, 'ready', 1, a.sort_key, a.memory_step
FROM json_each(:rows) AS asked
JOIN items i ON i.seq = json_extract(asked.value, '$[0]')
JOIN attempts a ON a.item = i.seq AND a.step = :step AND a.number = (
    SELECT max(number) FROM attempts WHERE item = i.seq AND step = :step)

-- name: counted_from
WITH redone AS (
    SELECT a.item, max(a.id) AS attempt FROM attempts a
    JOIN attempts b ON b.item = a.item AND b.step = a.step AND b.number = a.number - 1
    WHERE a.number > 1 AND b.state IN ('succeeded', 'no_data')
    GROUP BY a.item)
SELECT i.id, before.step, max(before.number) + 1 AS number
FROM redone JOIN attempts first ON first.id = redone.attempt
JOIN attempts before
     ON before.item = redone.item AND before.step >= first.step AND before.id < first.id
JOIN items i ON i.seq = redone.item
GROUP BY i.seq, before.step

-- name: dispatch_names
SELECT name FROM dispatches WHERE name IN (SELECT value FROM json_each(:names))

-- name: ready_exactly
SELECT a.*, i.id AS item_id, i.document AS document
FROM attempts a JOIN items i ON i.seq = a.item
WHERE a.state = 'ready' AND i.id = :item AND a.step = :step AND a.number = :number

-- name: next_of_finished
SELECT i.id, i.seq, i.round, asked.step
FROM (SELECT key, json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS step,
             json_extract(value, '$[2]') AS number
      FROM json_each(:rows)) AS asked
JOIN items i ON i.id = asked.id
WHERE i.state IN ('succeeded', 'no_data', 'failed', 'stopped') AND i.step >= asked.step
      AND asked.number = (
          SELECT max(number) + 1 FROM attempts WHERE item = i.seq AND step = asked.step)
ORDER BY asked.key
