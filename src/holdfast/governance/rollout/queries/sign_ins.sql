-- When owner and deputy signed in interactively last.
SELECT s.person, max(s.at_ms) AS at_ms
FROM directory_sign_ins s
JOIN workflow_current w ON w.tenant = s.tenant
WHERE s.tenant = :tenant AND w.workflow = :workflow AND s.at_ms <= :as_of_ms
  AND lower(s.person) IN (lower(w.owner), lower(w.deputy))
GROUP BY s.person
ORDER BY s.person
