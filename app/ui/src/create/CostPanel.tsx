import { duration } from "./Elapsed";
import type { RoleUsage } from "../records";
import type { RunView } from "../run/view";

const NUMBER = new Intl.NumberFormat();

/** What the thread has used so far, by role. */
export function CostPanel({ view }: { view: RunView }) {
  const roles = Object.entries(view.values.usage ?? {}).filter(([, used]) => used.calls > 0);
  if (roles.length === 0) return null;
  const total = roles.reduce<RoleUsage>((sum, [, used]) => add(sum, used), NOTHING);
  const worked = (view.values.stretches ?? []).reduce(
    (sum, [from = 0, to = 0]) => sum + (to - from),
    0,
  );
  return (
    <section className="cost card" aria-labelledby="cost-title">
      <h2 id="cost-title">Cost</h2>
      <div className="scroll" tabIndex={0} role="group" aria-labelledby="cost-title">
        <table>
          <thead>
            <tr>
              <th scope="col">Role</th>
              <th scope="col">Calls</th>
              <th scope="col">Tokens in</th>
              <th scope="col">Tokens out</th>
              <th scope="col">Seconds</th>
            </tr>
          </thead>
          <tbody>
            {roles.map(([role, used]) => (
              <Row key={role} name={role} used={used} />
            ))}
          </tbody>
          <tfoot>
            <Row name="together" used={total} />
          </tfoot>
        </table>
      </div>
      {worked > 0 && (
        <p className="muted">
          {duration(worked)} of work in this turn; seconds of calls side by side add up.
        </p>
      )}
    </section>
  );
}

const NOTHING: RoleUsage = { calls: 0, input_tokens: 0, output_tokens: 0, seconds: 0 };

function add(one: RoleUsage, other: RoleUsage): RoleUsage {
  return {
    calls: one.calls + other.calls,
    input_tokens: one.input_tokens + other.input_tokens,
    output_tokens: one.output_tokens + other.output_tokens,
    seconds: one.seconds + other.seconds,
  };
}

function Row({ name, used }: { name: string; used: RoleUsage }) {
  return (
    <tr>
      <th scope="row">{name}</th>
      <td>{NUMBER.format(used.calls)}</td>
      <td>{NUMBER.format(used.input_tokens)}</td>
      <td>{NUMBER.format(used.output_tokens)}</td>
      <td>{used.seconds.toFixed(1)}</td>
    </tr>
  );
}
