-- What came in within the window for who answers for the workflow, by kind.
SELECT kind, count(*) AS n
FROM inbox_items
WHERE tenant = :tenant AND workflow = :workflow AND role = 'owner' AND opened_ms >= :since_ms AND opened_ms < :until_ms
GROUP BY kind
ORDER BY kind
