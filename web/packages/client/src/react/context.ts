// Owns which client the hooks below use.

import { createContext, createElement, useContext, type ReactNode } from "react";
import type { Client } from "../client.js";

const Context = createContext<Client | null>(null);

/** Gives a client to every hook below it. It neither opens nor closes it. */
export const HoldfastProvider = ({ client, children }: { client: Client; children?: ReactNode }): ReactNode =>
  createElement(Context.Provider, { value: client }, children);

/** The client given by the nearest `HoldfastProvider`. */
export function useHoldfast(): Client {
  const client = useContext(Context);
  if (!client) throw new Error("There is no HoldfastProvider above this component.");
  return client;
}
