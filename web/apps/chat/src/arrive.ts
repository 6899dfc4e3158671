// Owns what the address says: the token, which leaves it at once, and the session in view; and what this device is.

/** The token comes in the fragment, which no server sees. */
export function arrive(): string {
  const given = new URLSearchParams(location.hash.slice(1));
  const token = given.get("t");
  if (token !== null) {
    keep(token);
    history.replaceState(null, "", given.has("s") ? `#/${given.get("s")}` : location.pathname);
  }
  return sessionStorage.getItem("holdfast.token") ?? "";
}

/** Keep a token for the reloads of this tab. */
export function keep(token: string): string {
  if (token) sessionStorage.setItem("holdfast.token", token);
  return token;
}

/** Whether the address brings a token. */
export const given = (): boolean => new URLSearchParams(location.hash.slice(1)).has("t");

/** The session the address names, or null for a new conversation. */
export const addressed = (): string | null => (location.hash.startsWith("#/") ? decodeURIComponent(location.hash.slice(2)) : null);

/** Browser and system, as others see them in presence. */
export function device(): string {
  const agent = navigator.userAgent;
  const browser = /Edg\//.test(agent) ? "Edge" : /Firefox\//.test(agent) ? "Firefox" : /Chrome\//.test(agent) ? "Chrome" : "Safari";
  const where = /iPhone|iPad/.test(agent) ? "iOS" : /Android/.test(agent) ? "Android" : /Mac/.test(agent) ? "macOS" : /Windows/.test(agent) ? "Windows" : "Linux";
  return `${browser} on ${where}`;
}
