-- What was imported of bills for the last closed month by provider, nano-USD: all lines of use, and of how many reports. Of a
-- day that several reports have, the comparison takes the newest.
SELECT l.provider, count(DISTINCT l.batch) AS reports, count(*) AS n, count(DISTINCT l.day) AS days,
       coalesce(sum(CASE WHEN l.amount_nano > 0 THEN l.amount_nano ELSE 0 END), 0) AS amount_nano
FROM ledger_bill_lines l
JOIN ledger_batches b ON b.id = l.batch
WHERE l.tenant = :tenant AND substr(l.day, 1, 7) = :month AND l.kind = 'usage'
GROUP BY l.provider
ORDER BY l.provider
