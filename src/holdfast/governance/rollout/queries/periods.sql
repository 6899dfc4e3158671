-- Whether months are closed in this organisation, and whether the last one is.
SELECT count(*) AS closed, coalesce(sum(CASE WHEN period = :month THEN 1 ELSE 0 END), 0) AS last
FROM ledger_periods
WHERE tenant = :tenant
ORDER BY 1
