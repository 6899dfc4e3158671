<<<<<<< HEAD
-- The last verdict of every gate of the workflow and of the organisation, and whether it is waived now; of a gate without a
-- verdict, that it is waived.
SELECT v.gate, v.verdict,
       CASE WHEN EXISTS (SELECT 1 FROM rollout_waivers x
                         WHERE x.tenant = v.tenant AND x.gate = v.gate AND x.workflow IN (:workflow, v.workflow)
                           AND x.at_ms <= :as_of_ms AND x.until_ms > :as_of_ms
                           AND (x.ended_ms IS NULL OR x.ended_ms > :as_of_ms)) THEN 1 ELSE 0 END AS waived
=======
-- The last verdict of every gate of the workflow and of the organisation, whole, so that one that was changed is seen.
SELECT v.id, v.tenant, v.gate, v.workflow, v.profile, v.version, v.thresholds, v.verdict, v.cause, v.n, v.reason, v.fix,
       v.as_of_ms, v.valid_until_ms, v.computed_ms, v.evidence
>>>>>>> i13-inbox
FROM rollout_verdicts v
WHERE v.tenant = :tenant AND v.workflow IN (:workflow, '') AND v.valid_until_ms > :as_of_ms
  AND v.newest AND v.gate <> '1.b'
UNION
SELECT w.gate, 'unknown' AS verdict, 1 AS waived
FROM rollout_waivers w
WHERE w.tenant = :tenant AND w.workflow IN (:workflow, '') AND w.gate <> '1.b'
  AND w.at_ms <= :as_of_ms AND w.until_ms > :as_of_ms AND (w.ended_ms IS NULL OR w.ended_ms > :as_of_ms)
  AND NOT EXISTS (SELECT 1 FROM rollout_verdicts n
                  WHERE n.tenant = w.tenant AND n.gate = w.gate AND n.workflow IN (:workflow, '')
                    AND n.valid_until_ms > :as_of_ms AND n.newest)
ORDER BY 1, 2, 3
