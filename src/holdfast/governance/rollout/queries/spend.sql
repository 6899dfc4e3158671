-- Spend of the window by workflow; a row that was corrected is replaced by its correction.
SELECT r.workflow, sum(coalesce(r.billed_nano, r.effective_nano, r.list_nano, 0)) AS nano, count(*) AS n
FROM ledger_rows r
WHERE r.tenant = :tenant AND r.at_ms >= :since_ms AND r.at_ms < :until_ms
  AND NOT EXISTS (SELECT 1 FROM ledger_rows c WHERE c.corrects = r.id)
GROUP BY r.workflow
ORDER BY r.workflow
