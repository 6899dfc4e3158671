-- What owner or deputy had to do until a day of the window, when it was computed as gone, and when the same was there again.
SELECT i.id, i.kind, i.opened_ms, i.due_ms, i.closed_ms, i.closed_by,
       (SELECT min(x.opened_ms) FROM inbox_items x
        WHERE x.tenant = i.tenant AND x.key = i.key AND x.id <> i.id AND x.opened_ms >= i.closed_ms) AS again_ms
FROM inbox_items i
WHERE i.tenant = :tenant AND i.workflow = :workflow AND i.role IN ('owner', 'deputy')
  AND i.due_ms >= :since_ms AND i.due_ms < :until_ms
ORDER BY i.due_ms, i.id
