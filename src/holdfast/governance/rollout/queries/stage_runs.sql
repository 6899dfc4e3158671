-- Runs of the window by what they did. Of one that has not ended nobody knows that yet: it is lost so far. Work under a test key
-- never counts.
SELECT CASE WHEN interactive THEN 1 ELSE 0 END AS interactive, CASE WHEN memory > 0 THEN 1 ELSE 0 END AS memory,
       CASE WHEN side_effects > 0 THEN 1 ELSE 0 END AS side_effects, CASE WHEN unclassified > 0 THEN 1 ELSE 0 END AS unclassified,
       CASE WHEN lost OR NOT counted THEN 1 ELSE 0 END AS lost, count(*) AS n
FROM workflow_runs
WHERE tenant = :tenant AND workflow = :workflow AND queued_ms >= :since_ms AND queued_ms < :until_ms AND NOT test
GROUP BY 1, 2, 3, 4, 5
ORDER BY 1, 2, 3, 4, 5
