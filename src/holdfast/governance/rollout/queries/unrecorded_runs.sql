-- Runs that the ledger paid for in the window, and the journal does not have. Work under a test key has a row there, too; one
-- whose session was deleted has lost its name.
SELECT count(*) AS n
FROM (SELECT DISTINCT r.session, r.run
      FROM ledger_rows r
      WHERE r.tenant = :tenant AND r.workflow = :workflow AND r.run <> '' AND r.session <> ''
        AND r.at_ms >= :since_ms AND r.at_ms < :until_ms
        AND NOT EXISTS (SELECT 1 FROM workflow_runs w
                        WHERE w.tenant = r.tenant AND w.run = r.run AND w.session IN (r.session, ''))) x
