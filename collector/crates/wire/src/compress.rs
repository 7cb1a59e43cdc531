//! Compression of whole bodies, with limits on what comes out.
//!
//! gzip and zlib by libdeflate, zstd, and the block format of snappy. Bodies are small enough to be in memory, and one
//! shot over a whole body is two to three times as fast as streaming. [`GzipStream`] is for bodies that are never whole.
//!
//! What a body inflates to is bounded twice, absolutely and relative to its size ([`Limit`]), and nothing is allocated
//! because a header says so: sizes that a body declares are checked against both limits first. Unlike libdeflate alone,
//! several gzip members in a row are read, and bytes after the last one are refused, both as Go's `compress/gzip` does.

mod deflate;
mod measure;
mod stream;

pub use measure::measure_gzip;
pub use stream::GzipStream;

use libdeflater::{CompressionLvl, DecompressionError};
use zstd::zstd_safe;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// gzip (RFC 1952).
    Gzip,
    /// zlib (RFC 1950), which HTTP calls `deflate`.
    Zlib,
    /// Zstandard frames.
    Zstd,
    /// The block format of snappy.
    Snappy,
}

impl Encoding {
    /// The encoding that a `Content-Encoding` header or a `compression` key names; empty and `none` mean identity.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "" | "none" | "identity" => Some(Self::Identity),
            "gzip" => Some(Self::Gzip),
            "zlib" | "deflate" => Some(Self::Zlib),
            "zstd" => Some(Self::Zstd),
            "snappy" => Some(Self::Snappy),
            _ => None,
        }
    }

    /// The name in a `Content-Encoding` header.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zlib => "deflate",
            Self::Zstd => "zstd",
            Self::Snappy => "snappy",
        }
    }
}

impl std::fmt::Display for Encoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much may come out of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Largest body after decompression, in bytes.
    pub max_bytes: usize,
    /// Largest size as a multiple of the compressed size; does not apply to bodies of up to
    /// [`Limit::RATIO_FREE_BYTES`], as repetitive small ones shrink a lot and cannot hurt.
    pub max_ratio: usize,
}

impl Limit {
    /// Bodies of up to this size are never refused for their ratio.
    pub const RATIO_FREE_BYTES: usize = 1 << 20;

    /// What [`Limit::bytes`] takes for `max_ratio`: far above any telemetry (10 to 60), and about the most that deflate
    /// can do at all.
    pub const DEFAULT_MAX_RATIO: usize = 1000;

    /// A limit in bytes, with the usual ratio.
    #[must_use]
    pub fn bytes(max_bytes: usize) -> Self {
        Self { max_bytes, max_ratio: Self::DEFAULT_MAX_RATIO }
    }

    /// The most that may come out of `n_compressed` bytes.
    fn most(self, n_compressed: usize) -> usize {
        self.max_bytes.min(n_compressed.saturating_mul(self.max_ratio).max(Self::RATIO_FREE_BYTES))
    }

    /// Why more than [`Self::most`] was refused.
    fn exceeded(self, encoding: Encoding, n_compressed: usize) -> DecompressError {
        if self.most(n_compressed) == self.max_bytes {
            DecompressError::MaxBytes { encoding, max_bytes: self.max_bytes }
        } else {
            DecompressError::MaxRatio { encoding, max_ratio: self.max_ratio }
        }
    }
}

/// A body that was not decompressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// Larger than allowed.
    #[error("decompressed {encoding} body is larger than max_bytes ({max_bytes})")]
    MaxBytes {
        /// How the body is compressed.
        encoding: Encoding,
        /// The limit.
        max_bytes: usize,
    },
    /// Suspiciously well compressed.
    #[error(
        "decompressed {encoding} body is more than max_ratio ({max_ratio}) times as large as the compressed one"
    )]
    MaxRatio {
        /// How the body is compressed.
        encoding: Encoding,
        /// The limit.
        max_ratio: usize,
    },
    /// Not what the encoding says.
    #[error("{encoding} body is corrupt: {what}")]
    Corrupt {
        /// How the body should be compressed.
        encoding: Encoding,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// Compresses `input` into `out`, whatever that held before, at the default level of the encoding.
///
/// Whoever compresses often keeps a [`Compressor`], which saves setting up the compressor's tables.
pub fn compress(encoding: Encoding, input: &[u8], out: &mut Vec<u8>) {
    Compressor::new(encoding, None).compress(input, out);
}

/// Decompresses `input` into `out`, whatever that held before.
///
/// The bytes of `out` are used as they are, so a buffer that is used again and again is not cleared each time.
/// After an error `out` holds nothing of use.
pub fn decompress(
    encoding: Encoding,
    input: &[u8],
    limit: Limit,
    out: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    Decompressor::default().decompress(encoding, input, limit, out)
}

/// A compressor that is used again and again.
pub struct Compressor(Tables);

enum Tables {
    Identity,
    Gzip(libdeflater::Compressor, Vec<u8>),
    Zlib(libdeflater::Compressor, Vec<u8>),
    Zstd(Box<zstd_safe::CCtx<'static>>, i32),
    Snappy(Box<snap::raw::Encoder>, Vec<u8>),
}

impl Compressor {
    /// gzip and zlib know levels 1 to 12, of which 1 to 6 are worth their time (default 1, what bodies on their way
    /// through need); zstd 1 to 19 (default 3). Levels out of range mean the nearest one; snappy has none.
    #[must_use]
    pub fn new(encoding: Encoding, level: Option<i32>) -> Self {
        let deflate = || {
            let level = level.unwrap_or(1).clamp(1, 12);
            libdeflater::Compressor::new(CompressionLvl::new(level).expect("libdeflate has levels 1 to 12"))
        };
        Self(match encoding {
            Encoding::Identity => Tables::Identity,
            Encoding::Gzip => Tables::Gzip(deflate(), Vec::new()),
            Encoding::Zlib => Tables::Zlib(deflate(), Vec::new()),
            Encoding::Zstd => {
                Tables::Zstd(Box::new(zstd_safe::CCtx::create()), level.unwrap_or(3).clamp(1, 19))
            }
            Encoding::Snappy => Tables::Snappy(Box::new(snap::raw::Encoder::new()), Vec::new()),
        })
    }

    /// Compresses `input` into `out`, whatever that held before.
    pub fn compress(&mut self, input: &[u8], out: &mut Vec<u8>) {
        const ROOM: &str = "the buffer has the size that the library asked for";
        out.clear();
        // The buffers in which the C libraries write keep their length, so they are filled with zeros once only; what
        // is copied out of them is the small, compressed body.
        match &mut self.0 {
            Tables::Identity => out.extend_from_slice(input),
            Tables::Gzip(compressor, buffer) => {
                grow(buffer, compressor.gzip_compress_bound(input.len()));
                let n = compressor.gzip_compress(input, buffer).expect(ROOM);
                out.extend_from_slice(&buffer[..n]);
            }
            Tables::Zlib(compressor, buffer) => {
                grow(buffer, compressor.zlib_compress_bound(input.len()));
                let n = compressor.zlib_compress(input, buffer).expect(ROOM);
                out.extend_from_slice(&buffer[..n]);
            }
            Tables::Zstd(context, level) => {
                out.reserve(zstd_safe::compress_bound(input.len()));
                context.compress(out, input, *level).expect(ROOM);
            }
            Tables::Snappy(encoder, buffer) => {
                grow(buffer, snap::raw::max_compress_len(input.len()));
                let n = encoder.compress(input, buffer).expect("bodies are smaller than 4 GiB");
                out.extend_from_slice(&buffer[..n]);
            }
        }
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compressor")
    }
}

fn grow(buffer: &mut Vec<u8>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
}

/// A decompressor that is used again and again. Tables are made when an encoding is met for the first time.
#[derive(Default)]
pub struct Decompressor {
    inflate: Option<libdeflater::Decompressor>,
    zstd: Option<zstd_safe::DCtx<'static>>,
}

impl Decompressor {
    /// Decompresses `input` into `out`, as [`decompress`] does.
    pub fn decompress(
        &mut self,
        encoding: Encoding,
        input: &[u8],
        limit: Limit,
        out: &mut Vec<u8>,
    ) -> Result<(), DecompressError> {
        match encoding {
            Encoding::Identity if input.len() > limit.max_bytes => {
                return Err(DecompressError::MaxBytes { encoding, max_bytes: limit.max_bytes });
            }
            Encoding::Identity => {
                out.clear();
                out.extend_from_slice(input);
            }
            Encoding::Gzip => deflate::gunzip(self.inflate.get_or_insert_default(), input, limit, out)?,
            Encoding::Zlib => deflate::unzlib(self.inflate.get_or_insert_default(), input, limit, out)?,
            Encoding::Zstd => self.unzstd(input, limit, out)?,
            Encoding::Snappy => unsnap(input, limit, out)?,
        }
        Ok(())
    }

    fn unzstd(&mut self, input: &[u8], limit: Limit, out: &mut Vec<u8>) -> Result<(), DecompressError> {
        let encoding = Encoding::Zstd;
        let corrupt = |what| DecompressError::Corrupt { encoding, what };
        if input.is_empty() {
            return Err(corrupt("it is empty"));
        }
        let declared =
            zstd_safe::get_frame_content_size(input).map_err(|_| corrupt("it has no frame header"))?;
        let declared = declared.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
        let context = self.zstd.get_or_insert_default();
        let too_small =
            0usize.wrapping_sub(zstd_safe::zstd_sys::ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall as usize);
        if declared.is_some_and(|size| size > limit.most(input.len())) {
            return Err(limit.exceeded(encoding, input.len()));
        }
        let guess = declared.unwrap_or_else(|| input.len().saturating_mul(4).max(out.capacity()));
        let mut room = Room::new(encoding, input.len(), limit, guess);
        loop {
            out.clear();
            // Written into spare capacity, which may be more than was asked for.
            out.reserve_exact(room.size);
            match context.decompress(out, input) {
                Ok(n) if n > room.most => return Err(limit.exceeded(encoding, input.len())),
                Ok(_) => return Ok(()),
                Err(code) if code == too_small => room.grow()?,
                Err(code) => return Err(corrupt(zstd_safe::get_error_name(code))),
            }
        }
    }
}

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decompressor")
    }
}

/// A snappy copy of three bytes gives at most 64, so no block grows more than this.
const SNAPPY_MAX_GROWTH: usize = 22;

fn unsnap(input: &[u8], limit: Limit, out: &mut Vec<u8>) -> Result<(), DecompressError> {
    let encoding = Encoding::Snappy;
    let corrupt = |what| DecompressError::Corrupt { encoding, what };
    if input.is_empty() {
        return Err(corrupt("it is empty"));
    }
    let declared =
        snap::raw::decompress_len(input).map_err(|_| corrupt("its declared length is not a number"))?;
    if declared > limit.most(input.len()) {
        return Err(limit.exceeded(encoding, input.len()));
    }
    if declared > input.len().saturating_mul(SNAPPY_MAX_GROWTH) {
        return Err(corrupt("its declared length cannot be reached"));
    }
    out.resize(declared, 0);
    match snap::raw::Decoder::new().decompress(input, out) {
        Ok(_) => Ok(()),
        Err(_) => Err(corrupt("a copy or literal runs beyond its bounds")),
    }
}

/// How large the output buffer is tried, up to what the limits allow.
struct Room {
    encoding: Encoding,
    n_compressed: usize,
    limit: Limit,
    most: usize,
    size: usize,
}

impl Room {
    /// Begins with `guess`, where that is within the limits.
    fn new(encoding: Encoding, n_compressed: usize, limit: Limit, guess: usize) -> Self {
        let most = limit.most(n_compressed);
        Self { encoding, n_compressed, limit, most, size: guess.clamp(1.min(most), most) }
    }

    /// Doubles the size, unless it is as large as it may be.
    fn grow(&mut self) -> Result<(), DecompressError> {
        if self.size >= self.most {
            return Err(self.limit.exceeded(self.encoding, self.n_compressed));
        }
        self.size = self.size.max(1024).saturating_mul(2).min(self.most);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
