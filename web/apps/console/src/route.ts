// Owns addresses: every page of the console has one that can be shared, `#/PAGE/ID/NAME?at=SEQ`.

import { useEffect, useState } from "preact/hooks";

export interface Route {
  page: string;
  id: string;
  /** The part after the id; most pages have none. */
  name: string;
  query: URLSearchParams;
}

/** The route of the address. */
export function currentRoute(): Route {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [page = "", id = "", name = ""] = path.split("/").map(decodeURIComponent);
  return { page: page || "sessions", id, name, query: new URLSearchParams(query) };
}

export const addressOf = (page: string, id = "", query: Record<string, string> = {}): string => {
  const search = new URLSearchParams(query).toString();
  return `#/${page}${id && `/${encodeURIComponent(id)}`}${search && `?${search}`}`;
};

export function navigate(page: string, id = "", query: Record<string, string> = {}): void {
  location.hash = addressOf(page, id, query);
}

/** The route, whenever it changes. */
export function useRoute(): Route {
  const [route, setRoute] = useState(currentRoute);
  useEffect(() => {
    const update = () => setRoute(currentRoute());
    addEventListener("hashchange", update);
    return () => removeEventListener("hashchange", update);
  }, []);
  return route;
}
