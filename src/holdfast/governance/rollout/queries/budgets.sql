-- The budgets that hold, as they stand; the scope as JSON. Which of them cover the workflow says the tree (reckoning "caps").
SELECT id, name, scope, each, cap_nano, span, strength, mode, payer, decider, approved_by, approved_ms, set_by, set_ms, since_ms
FROM budgets
WHERE tenant = :tenant AND ended_ms IS NULL AND since_ms <= :as_of_ms
ORDER BY id
