-- What the last weeks came to by their Mondays, nano-USD: what is billed for each row that counts, else what its contract says,
-- else its list price. A row without any of them is unpriced: what it cost is not known.
SELECT r.week, count(*) AS n,
       coalesce(sum(coalesce(r.billed_nano, r.contracted_nano, r.list_nano)), 0) AS spent_nano,
       sum(CASE WHEN r.billed_nano IS NULL AND r.contracted_nano IS NULL AND r.list_nano IS NULL THEN 1 ELSE 0 END) AS unpriced
FROM ledger_rows r
WHERE r.tenant = :tenant AND r.at_ms >= :as_of_ms - 9331200000 AND r.at_ms <= :as_of_ms
  AND NOT EXISTS (SELECT 1 FROM ledger_rows c WHERE c.corrects = r.id AND c.corrects <> '')
GROUP BY r.week
ORDER BY r.week
