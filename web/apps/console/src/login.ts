// Owns the login with an identity provider, where the server has one: who is logged in gets a short token, again and again.

import { RequestError } from "holdfast-look";

const LOGIN = "../governance/login";
const HEADERS = { "x-holdfast-console": "1" }; // no form and no foreign page can send it
const ENDED = "holdfast.logged-out"; // in this tab, until somebody is logged in again

/** Where a browser goes to log in; it comes back to this page, at the place that its address names. */
export const loginAddress = (): string => `${LOGIN}?${new URLSearchParams({ then: location.pathname + location.hash })}`;

/** A token of whoever is logged in; "" for nobody, null where the server has no login. Rejects when it cannot say. */
export async function requestLoginToken(): Promise<string | null> {
  const response = await fetch(`${LOGIN}/token`, { method: "POST", headers: HEADERS }).catch(() => null);
  if (response === null) throw new RequestError("The server did not answer.", "", true);
  if (response.status === 404) return null;
  if (response.status === 401 || response.status === 403) return "";
  const body = (await response.json().catch(() => null)) as { token?: string; error?: { message: string; fix?: string } } | null;
  if (response.ok && body?.token) {
    sessionStorage.removeItem(ENDED);
    return body.token;
  }
  throw new RequestError(body?.error?.message ?? `The server could not answer: HTTP ${response.status}.`, body?.error?.fix, false, response.status);
}

/** End the login and every token that it gave. Rejects when it goes on, because the server could not end it. */
export async function logOut(): Promise<void> {
  const response = await fetch(`${LOGIN}/logout`, { method: "POST", headers: HEADERS }).catch(() => null);
  if (!response?.ok) throw new RequestError("You are still logged in: the server did not end it.", "Try again.", response === null);
  sessionStorage.setItem(ENDED, "1");
  location.reload();
}

/** Whether somebody has logged out in this tab, and nobody has come in since. */
export const loggedOutHere = (): boolean => sessionStorage.getItem(ENDED) !== null;
