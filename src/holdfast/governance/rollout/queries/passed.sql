-- The last verdict of every gate of the workflow and of the organisation, whole, so that one that was changed is seen.
SELECT v.id, v.tenant, v.gate, v.workflow, v.profile, v.version, v.thresholds, v.verdict, v.cause, v.n, v.reason, v.fix,
       v.as_of_ms, v.valid_until_ms, v.computed_ms, v.evidence
FROM rollout_verdicts v
WHERE v.tenant = :tenant AND v.workflow IN (:workflow, '') AND v.valid_until_ms > :as_of_ms
  AND v.newest AND v.gate <> '1.b'
ORDER BY v.gate, v.workflow
