// Owns what a page can read of a token without checking it.

/** What a token claims, unverified; nothing for one that is no JWT. */
export function claimsOf(token: string): Record<string, unknown> {
  try {
    const bytes = atob(token.split(".")[1]!.replace(/-/g, "+").replace(/_/g, "/"));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0))));
  } catch {
    return {};
  }
}

/** The subject of a token, unverified, as it is shown; empty for one that is no JWT. */
export function subjectOf(token: string): string {
  const { sub, tenant } = claimsOf(token);
  return typeof sub === "string" ? `${sub}${tenant && tenant !== "default" ? ` of ${tenant}` : ""}` : "";
}
