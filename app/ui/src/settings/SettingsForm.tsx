import { useId } from "react";
import type { Ref } from "react";

import { settingsOf } from "./schema";
import type { Field } from "./schema";
import type { Preset } from "./useAssistants";

interface Props {
  fields: Field[];
  /** What was typed, by the name of the field. */
  entered: Record<string, string>;
  presets: Preset[];
  preset: string;
  onPreset: (id: string) => void;
  onChange: (name: string, value: string) => void;
  onReset: () => void;
  /** So that the composer can close it when a run begins. */
  disclosure: Ref<HTMLDetailsElement>;
}

/** The run's settings, one field for each that the server's schema has. */
export function SettingsForm(props: Props) {
  const { fields, entered, presets, preset, onPreset, onChange, onReset } = props;
  const changed = Object.keys(settingsOf(fields, entered)).length;
  const first = fields.filter((field) => field.first);
  const more = fields.filter((field) => !field.first);
  const input = (field: Field) => (
    <SettingInput
      key={`${preset} ${field.name}`}
      field={field}
      value={entered[field.name] ?? field.standard}
      onChange={(value) => onChange(field.name, value)}
    />
  );
  return (
    <details className="settings" ref={props.disclosure}>
      <summary>
        Settings
        {changed > 0 && <span className="count"> {changed} changed</span>}
      </summary>
      <div className="settings-body">
        {presets.length > 1 && (
          <div className="field">
            <label htmlFor="preset">Preset</label>
            <select id="preset" value={preset} onChange={(event) => onPreset(event.target.value)}>
              {presets.map((item) => (
                <option key={item.id} value={item.id}>
                  {item.name}
                </option>
              ))}
            </select>
          </div>
        )}
        <div className="fields">{first.map(input)}</div>
        {more.length > 0 && (
          <details className="settings-more">
            <summary>More settings</summary>
            <div className="fields">{more.map(input)}</div>
          </details>
        )}
        {changed > 0 && (
          <button type="button" className="quiet" onClick={onReset}>
            Back to the defaults
          </button>
        )}
      </div>
    </details>
  );
}

interface InputProps {
  field: Field;
  value: string;
  onChange: (value: string) => void;
}

function SettingInput({ field, value, onChange }: InputProps) {
  const id = useId();
  const shared = { id, value, "aria-describedby": `${id}-help` };
  return (
    <div className="field">
      <label htmlFor={id}>{field.label}</label>
      {field.type === "choice" ? (
        <select {...shared} onChange={(event) => onChange(event.target.value)}>
          {field.options.map((option) => (
            <option key={option} value={option}>
              {option.replaceAll("_", " ")}
            </option>
          ))}
        </select>
      ) : (
        <input
          {...shared}
          type={field.type === "text" ? "text" : "number"}
          min={field.min ?? undefined}
          max={field.max ?? undefined}
          step={field.step ?? (field.type === "number" ? "any" : undefined)}
          placeholder={field.standard === "" ? "the server's" : undefined}
          spellCheck={false}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
      <p className="help" id={`${id}-help`}>
        {field.help}
      </p>
    </div>
  );
}
