-- What accounts say was spent, by budget: what the replay of the ledger's rows is held against.
SELECT b.id, count(*) AS buckets, coalesce(sum(s.spent_nano), 0) AS spent_nano, coalesce(max(s.spent_nano), 0) AS most_nano
FROM budgets b
JOIN budget_spent s ON s.budget = b.id
WHERE b.tenant = :tenant AND b.ended_ms IS NULL AND b.each = ''
GROUP BY b.id
ORDER BY b.id
