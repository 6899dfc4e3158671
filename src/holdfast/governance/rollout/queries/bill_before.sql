-- Providers of which a bill was imported for any time before the end of the last closed month, and the newest month of each.
SELECT provider, max(substr(last_day, 1, 7)) AS month, count(*) AS reports
FROM ledger_batches
WHERE tenant = :tenant AND use = 'bill' AND family = 'use' AND lines > 0 AND substr(first_day, 1, 7) <= :month
GROUP BY provider
ORDER BY provider
