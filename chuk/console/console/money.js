// Amounts and counts, as people read them.

const euros = new Intl.NumberFormat("en", { style: "currency", currency: "EUR" });
const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const fine = new Intl.NumberFormat("en", { maximumSignificantDigits: 3, maximumFractionDigits: 6 });

/** Euros; small amounts with as many places as they need, down to the micro-euro. */
export function money(amount) {
  if (amount === 0) return "€0";
  return Math.abs(amount) >= 0.1 ? euros.format(amount) : `€${fine.format(amount)}`;
}

/** Bytes. */
export function size(bytes) {
  return bytes < 1_000_000 ? `${Math.max(1, Math.round(bytes / 1000))} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

export const count = (number) => whole.format(number);
export const compact = (number) => short.format(number);
