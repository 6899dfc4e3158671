-- The last verdict of every gate of the workflow and of the organisation, and whether it is waived now.
SELECT v.gate, v.verdict,
       CASE WHEN EXISTS (SELECT 1 FROM rollout_waivers x
                         WHERE x.tenant = v.tenant AND x.gate = v.gate AND x.workflow = v.workflow
                           AND x.at_ms <= :as_of_ms AND x.until_ms > :as_of_ms AND x.ended_ms IS NULL) THEN 1 ELSE 0 END AS waived
FROM rollout_verdicts v
WHERE v.tenant = :tenant AND v.workflow IN (:workflow, '') AND v.valid_until_ms > :as_of_ms
  AND v.newest AND v.gate <> '1.b'
ORDER BY v.gate, v.workflow
