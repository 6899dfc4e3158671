-- Runs of the window for which somebody waited: of a seated key, or of somebody who had signed in. Work under a test key never
-- counts.
SELECT count(*) AS n
FROM workflow_runs
WHERE tenant = :tenant AND queued_ms >= :since_ms AND queued_ms < :until_ms AND NOT test AND (usage = 'seated' OR interactive)
