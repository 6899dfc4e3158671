-- Tools of the manifest that holds, with the class that the policy editor gave them.
SELECT t.tool, t.effect AS declared, coalesce(c.effect, 'unclassified') AS effect
FROM workflow_current w
JOIN workflow_manifest_tools t ON t.tenant = w.tenant AND t.workflow = w.workflow AND t.version = w.version
LEFT JOIN workflow_tools c ON c.tenant = t.tenant AND c.tool = t.tool
WHERE w.tenant = :tenant AND w.workflow = :workflow
ORDER BY t.tool
