-- Bills whose lines are not those that were imported: their number, or what they sum to.
SELECT b.id, b.name, b.provider, b.lines, b.total_nano, count(l.id) AS n, coalesce(sum(l.amount_nano), 0) AS amount_nano
FROM ledger_batches b
LEFT JOIN ledger_bill_lines l ON l.batch = b.id
WHERE b.tenant = :tenant AND b.use = 'bill' AND substr(b.first_day, 1, 7) <= :month AND substr(b.last_day, 1, 7) >= :month
GROUP BY b.id, b.name, b.provider, b.lines, b.total_nano
HAVING count(l.id) <> b.lines OR coalesce(sum(l.amount_nano), 0) <> b.total_nano
ORDER BY b.id
