-- Seated calls of the workflow in the window, those of them behind which a person had signed in, and headless calls of everybody.
-- What a key says is its kind. Calls under a test key never count; of a corrected row the last one does.
SELECT coalesce(sum(seated), 0) AS seated, coalesce(sum(claimed), 0) AS claimed, coalesce(sum(headless), 0) AS headless
FROM (SELECT CASE WHEN r.usage = 'seated' AND r.workflow = :workflow THEN 1 ELSE 0 END AS seated,
             CASE WHEN r.usage = 'headless' THEN 1 ELSE 0 END AS headless,
             CASE WHEN r.usage = 'seated' AND r.workflow = :workflow
                   AND (r.tags LIKE '%"interactive":"yes"%'
                        OR EXISTS (SELECT 1 FROM workflow_runs w
                                   WHERE w.tenant = r.tenant AND w.session = r.session AND w.run = r.run AND r.run <> ''
                                     AND w.interactive)) THEN 1 ELSE 0 END AS claimed
      FROM ledger_rows r
      WHERE r.tenant = :tenant AND r.source = 'gateway' AND r.parent = '' AND r.at_ms >= :since_ms AND r.at_ms < :until_ms
        AND r.id NOT IN (SELECT c.corrects FROM ledger_rows c WHERE c.tenant = :tenant AND c.corrects <> '')
        AND NOT EXISTS (SELECT 1 FROM gateway_keys k WHERE k.id = r.key AND k.labels LIKE '%"test":"yes"%')) x
