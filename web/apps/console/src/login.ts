// Owns the login with an identity provider, where the server has one: who is logged in gets a short token, again and again.

const LOGIN = "../governance/login";
const HEADERS = { "x-holdfast-console": "1" }; // no form and no foreign page can send it

/** Where a browser goes to log in; it comes back to this page. */
export const loginAddress = (): string => `${LOGIN}?${new URLSearchParams({ then: location.pathname })}`;

/** A token of whoever is logged in; "" for nobody, null where the server has no login. */
export async function requestLoginToken(): Promise<string | null> {
  const response = await fetch(`${LOGIN}/token`, { method: "POST", headers: HEADERS }).catch(() => null);
  if (response === null) throw new Error("the server did not answer");
  if (response.status === 401 || response.status === 403) return "";
  if (!response.ok) return null;
  return ((await response.json()) as { token: string }).token;
}

/** End the login and every token that it gave. */
export async function logOut(): Promise<void> {
  await fetch(`${LOGIN}/logout`, { method: "POST", headers: HEADERS });
  location.reload();
}
