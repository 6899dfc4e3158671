-- When owner and deputy signed in interactively last, under any name of whoever may be meant by theirs.
SELECT s.person, s.at_ms
FROM directory_sign_ins s
WHERE s.tenant = :tenant AND s.at_ms <= :as_of_ms AND s.person IN (
    SELECT lower(v.owner) FROM workflow_current v WHERE v.tenant = :tenant AND v.workflow = :workflow
    UNION
    SELECT lower(d.deputy) FROM workflow_current d WHERE d.tenant = :tenant AND d.workflow = :workflow
    UNION
    SELECT m.name_key
    FROM directory_names m
    JOIN directory_names o ON o.tenant = m.tenant AND o.id = m.id
    JOIN workflow_current w ON w.tenant = o.tenant AND o.name_key IN (lower(w.owner), lower(w.deputy))
    WHERE m.tenant = :tenant AND w.workflow = :workflow)
ORDER BY s.person
