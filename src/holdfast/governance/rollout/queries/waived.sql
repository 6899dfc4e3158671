-- Gates that are waived now, for the workflow or for the organisation.
SELECT gate, workflow, id
FROM rollout_waivers
WHERE tenant = :tenant AND workflow IN (:workflow, '') AND at_ms <= :as_of_ms AND until_ms > :as_of_ms AND ended_ms IS NULL
ORDER BY gate, workflow, id
