-- Stages that were declared, from when to when, with the runs that people or programs began in that time: not the sub-runs that
-- these began. Work under a test key never counts.
SELECT s.stage, s.since_ms, s.until_ms,
       (SELECT count(*) FROM workflow_runs r
        WHERE r.tenant = :tenant AND r.workflow = :workflow AND NOT r.test AND r.parent = ''
          AND r.queued_ms >= s.since_ms AND r.queued_ms < coalesce(s.until_ms, :as_of_ms)) AS runs
FROM (SELECT a.id, a.after AS stage, a.at_ms AS since_ms,
             (SELECT min(b.at_ms) FROM workflow_steps b
              WHERE b.tenant = a.tenant AND b.workflow = a.workflow AND b.what = 'stage' AND b.at_ms > a.at_ms) AS until_ms
      FROM workflow_steps a
      WHERE a.tenant = :tenant AND a.workflow = :workflow AND a.what = 'stage' AND a.at_ms <= :as_of_ms) s
ORDER BY s.since_ms, s.id
