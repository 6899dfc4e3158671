-- Calls of the workflow in the window, by day, with what they came to, nano-USD. Work under a test key never counts as a call.
SELECT r.day, count(DISTINCT r.call) AS calls, coalesce(sum(r.billed_nano), 0) AS billed_nano
FROM ledger_rows r
WHERE r.tenant = :tenant AND r.workflow = :workflow AND r.at_ms >= :since_ms AND r.at_ms <= :as_of_ms
  AND replace(r.tags, '"test":"yes"', '') = r.tags
  AND NOT EXISTS (SELECT 1 FROM ledger_rows c WHERE c.corrects = r.id AND c.corrects <> '')
GROUP BY r.day
ORDER BY r.day
