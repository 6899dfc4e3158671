-- Owner and deputy of the workflow, as the directory has them.
SELECT p.id, p.user_name, p.email, p.user_type, CASE WHEN p.active THEN 1 ELSE 0 END AS active, p.unit, p.source
FROM directory_people p
JOIN workflow_current w ON w.tenant = p.tenant
WHERE p.tenant = :tenant AND w.workflow = :workflow
  AND (lower(p.user_name) IN (lower(w.owner), lower(w.deputy))
       OR (p.email <> '' AND lower(p.email) IN (lower(w.owner), lower(w.deputy))))
ORDER BY p.id
