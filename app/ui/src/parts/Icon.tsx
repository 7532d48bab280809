/** Line icons, 20 by 20; always beside words or on a labelled button. */

const PATHS = {
  sun: "M10 6.500a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7M10 1.500v2M10 16.500v2M1.500 10h2M16.500 10h2M4 4l1.400 1.400M14.600 14.600 16 16M4 16l1.400-1.400M14.600 5.400 16 4",
  moon: "M16.500 12.200A7 7 0 0 1 7.800 3.500a7 7 0 1 0 8.700 8.700z",
  auto: "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14M10 3v14M12.500 4.300v11.400M15 5.800v8.400",
  yes: "m4.500 10.500 3.500 3.500 7.500-8",
  no: "m5.500 5.500 9 9M14.500 5.500l-9 9",
  unknown: "M7.500 7.500a2.500 2.500 0 1 1 3.600 2.300c-.8.4-1.100.9-1.100 1.700M10 14.500v.1",
  waiting: "M10 5.500V10l3 2",
  plus: "M10 4.500v11M4.500 10h11",
  close: "m5.500 5.500 9 9M14.500 5.500l-9 9",
  down: "M10 3.500v9M6 9l4 4 4-4M4 16.500h12",
  list: "M4 5.500h12M4 10h12M4 14.500h12",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
