// Owns the session that the address names, and the name of this device.

/** The session the address names, or null for a new conversation. */
export const sessionInAddress = (): string | null => (location.hash.startsWith("#/") ? decodeURIComponent(location.hash.slice(2)) : null);

/** Browser and system, as others see them in presence. */
export function deviceName(): string {
  const agent = navigator.userAgent;
  const browser = /Edg\//.test(agent) ? "Edge" : /Firefox\//.test(agent) ? "Firefox" : /Chrome\//.test(agent) ? "Chrome" : "Safari";
  const where = /iPhone|iPad/.test(agent) ? "iOS" : /Android/.test(agent) ? "Android" : /Mac/.test(agent) ? "macOS" : /Windows/.test(agent) ? "Windows" : "Linux";
  return `${browser} on ${where}`;
}
