-- What was refused to the workflow in the window, by what is known of it: 1 false, 0 right, -1 not judged yet. Work under a
-- test key never counts.
SELECT r.budget, CASE WHEN r."false" IS NULL THEN -1 WHEN r."false" THEN 1 ELSE 0 END AS was_false, count(*) AS n
FROM budget_refusals r
LEFT JOIN gateway_keys k ON k.id = r.key
WHERE r.tenant = :tenant AND r.workflow = :workflow AND r.mode = 'enforce' AND r.at_ms >= :since_ms AND r.at_ms <= :as_of_ms
  AND (k.labels IS NULL OR replace(k.labels, '"test":"yes"', '') = k.labels)
GROUP BY 1, 2
ORDER BY 1, 2
