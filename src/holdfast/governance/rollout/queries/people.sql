-- Owner and deputy of the workflow, as the directory has them: whoever has one of the two names.
SELECT p.id, p.user_name, p.email, p.user_type, CASE WHEN p.active THEN 1 ELSE 0 END AS active, p.unit, p.source
FROM directory_people p
WHERE p.tenant = :tenant AND p.id IN (
    SELECT n.id
    FROM directory_names n
    JOIN workflow_current w ON w.tenant = n.tenant AND n.name_key IN (lower(w.owner), lower(w.deputy))
    WHERE n.tenant = :tenant AND w.workflow = :workflow)
ORDER BY p.id
