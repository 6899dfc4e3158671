-- Names of whoever may be meant by owner and deputy, and everybody else who has one of them.
SELECT n.name_key AS name, n.kind, n.id
FROM directory_names n
WHERE n.tenant = :tenant AND n.name_key IN (
    SELECT m.name_key
    FROM directory_names m
    JOIN directory_names o ON o.tenant = m.tenant AND o.id = m.id
    JOIN workflow_current w ON w.tenant = o.tenant AND o.name_key IN (lower(w.owner), lower(w.deputy))
    WHERE m.tenant = :tenant AND w.workflow = :workflow)
ORDER BY n.name_key, n.kind, n.id
