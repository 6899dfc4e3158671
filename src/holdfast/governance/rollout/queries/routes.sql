-- The routing document that holds, as JSON.
SELECT version, document
FROM routing_documents
WHERE tenant = :tenant AND version = (SELECT max(d.version) FROM routing_documents d WHERE d.tenant = :tenant)
ORDER BY version
