-- What the ledger has of the last closed month by provider, nano-USD: the rows that count. Whoever doubts the comparison with
-- the bill adds these up.
SELECT r.provider, count(*) AS n, coalesce(sum(r.billed_nano), 0) AS billed_nano,
       sum(CASE WHEN r.billed_nano IS NULL THEN 1 ELSE 0 END) AS unpriced,
       coalesce(sum(CASE WHEN r.workflow IN ('', 'unassigned') THEN r.billed_nano ELSE 0 END), 0) AS unassigned_nano
FROM ledger_rows r
WHERE r.tenant = :tenant AND r.month = :month
  AND NOT EXISTS (SELECT 1 FROM ledger_rows c WHERE c.corrects = r.id AND c.corrects <> '')
GROUP BY r.provider
ORDER BY r.provider
