-- How many minutes items of a kind were in hand: from when their person opened them to when they were computed as gone, of an
-- hour at most, over the 90 days before the end of the window.
SELECT kind, minutes, count(*) AS n
FROM (SELECT kind, CASE WHEN closed_ms - seen_ms > 3600000 THEN 60 WHEN closed_ms - seen_ms < 60000 THEN 1
                        ELSE (closed_ms - seen_ms + 59999) / 60000 END AS minutes
      FROM inbox_items
      WHERE tenant = :tenant AND seen_ms > 0 AND closed_ms IS NOT NULL AND closed_by = 'computed' AND closed_ms < :as_of_ms
        AND closed_ms + 7776000000 >= :until_ms) h
GROUP BY kind, minutes
ORDER BY kind, minutes
