import { useEffect, useState } from "react";

/** Seconds since a run began, once a second; not read out, the status says what matters. */
export function Elapsed({ since }: { since: number }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = window.setInterval(() => setNow(Date.now()), 1000);
    return () => window.clearInterval(timer);
  }, []);
  return (
    <span className="elapsed" aria-hidden="true">
      {duration((now - since) / 1000)}
    </span>
  );
}

/** Returns seconds as people say them: 4 s, 2 min 5 s, 1 h 3 min. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
