// Owns addresses: every page of the console has one that can be shared, `#/NAME/ID?at=SEQ`.

import { useEffect, useState } from "preact/hooks";

export interface Place {
  page: string;
  id: string;
  query: URLSearchParams;
}

/** Where the address says. */
export function here(): Place {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [page = "", id = ""] = path.split("/").map(decodeURIComponent);
  return { page: page || "sessions", id, query: new URLSearchParams(query) };
}

export const addressOf = (page: string, id = "", query: Record<string, string> = {}): string => {
  const asked = new URLSearchParams(query).toString();
  return `#/${page}${id && `/${encodeURIComponent(id)}`}${asked && `?${asked}`}`;
};

export function go(page: string, id = "", query: Record<string, string> = {}): void {
  location.hash = addressOf(page, id, query);
}

/** The place, whenever it changes. */
export function usePlace(): Place {
  const [place, setPlace] = useState(here);
  useEffect(() => {
    const moved = () => setPlace(here());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return place;
}
