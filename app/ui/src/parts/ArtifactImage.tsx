import { useEffect, useState } from "react";

import type { ImageRef } from "../records";
import { BASE, get, imagePath, storedKey } from "../server";

interface Props {
  image: ImageRef;
  alt: string;
  /** Longest side in pixels at most; left out, the image as it is. */
  side?: number;
  className?: string;
  lazy?: boolean;
}

/** An image from the artifact store. With a key it is fetched: an `<img>` can't send one. */
export function ArtifactImage({ image, alt, side, className, lazy = false }: Props) {
  const path = imagePath(image, side);
  const [fetched, setFetched] = useState<{ path: string; url: string } | null>(null);
  const [missing, setMissing] = useState("");
  const keyed = storedKey() !== null;

  useEffect(() => {
    setMissing("");
    if (!keyed) return undefined;
    const stopping = new AbortController();
    let url = "";
    get(path, stopping.signal)
      .then((response) => response.blob())
      .then((blob) => {
        if (stopping.signal.aborted) return;
        url = URL.createObjectURL(blob);
        setFetched({ path, url });
      })
      .catch(() => {
        if (!stopping.signal.aborted) setMissing(path);
      });
    return () => {
      stopping.abort();
      if (url !== "") URL.revokeObjectURL(url);
      setFetched(null);
    };
  }, [path, keyed]);

  const size = { width: image.width, height: image.height };
  if (missing === path) {
    return (
      <div className={`image-missing ${className ?? ""}`} role="img" aria-label={alt}>
        The image can't be loaded.
      </div>
    );
  }
  const source = keyed ? (fetched?.path === path ? fetched.url : undefined) : `${BASE}${path}`;
  return (
    <img
      {...size}
      className={className}
      src={source}
      alt={alt}
      loading={lazy ? "lazy" : "eager"}
      decoding="async"
      onError={() => setMissing(path)}
    />
  );
}
