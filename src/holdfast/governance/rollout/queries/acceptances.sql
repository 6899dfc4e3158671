-- When owner and deputy accepted last.
SELECT role, person, max(at_ms) AS at_ms
FROM workflow_acceptances
WHERE tenant = :tenant AND workflow = :workflow AND at_ms <= :as_of_ms
GROUP BY role, person
ORDER BY role, person
