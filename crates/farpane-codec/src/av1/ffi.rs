//! libaom through its C interface, with the settings that screens want.
//!
//! [`Library`] owns one encoder instance. Everything it hands to the library lives on the stack of the call or in slices
//! borrowed for the call, and what the library hands back is copied out before the call returns.

use std::ffi::{c_int, c_uint};
use std::mem::MaybeUninit;
use std::ptr::null;

use farpane_media::Slot;
use libaom_sys::{
    AOM_CBR, AOM_CICP_CP_BT_709, AOM_CICP_MC_BT_709, AOM_CICP_TC_BT_709, AOM_CODEC_CX_FRAME_PKT,
    AOM_CODEC_OK, AOM_CONTENT_SCREEN, AOM_CR_STUDIO_RANGE, AOM_EFLAG_FORCE_KF,
    AOM_ENCODER_ABI_VERSION, AOM_FRAME_IS_KEY, AOM_IMG_FMT_I420, AOM_IMG_FMT_I444, AOM_KF_DISABLED,
    AOM_SUPERBLOCK_SIZE_64X64, AOM_USAGE_REALTIME, AOME_SET_ACTIVEMAP, AOME_SET_CPUUSED,
    AV1E_SET_AQ_MODE, AV1E_SET_CDF_UPDATE_MODE, AV1E_SET_COEFF_COST_UPD_FREQ,
    AV1E_SET_COLOR_PRIMARIES, AV1E_SET_COLOR_RANGE, AV1E_SET_DELTAQ_MODE, AV1E_SET_ENABLE_CDEF,
    AV1E_SET_ENABLE_CFL_INTRA, AV1E_SET_ENABLE_GLOBAL_MOTION, AV1E_SET_ENABLE_OBMC,
    AV1E_SET_ENABLE_ORDER_HINT, AV1E_SET_ENABLE_PALETTE, AV1E_SET_ENABLE_REF_FRAME_MVS,
    AV1E_SET_ENABLE_RESTORATION, AV1E_SET_ENABLE_TPL_MODEL, AV1E_SET_ENABLE_WARPED_MOTION,
    AV1E_SET_MATRIX_COEFFICIENTS, AV1E_SET_MODE_COST_UPD_FREQ, AV1E_SET_MV_COST_UPD_FREQ,
    AV1E_SET_QUANTIZER_ONE_PASS, AV1E_SET_ROW_MT, AV1E_SET_SUPERBLOCK_SIZE,
    AV1E_SET_SVC_REF_FRAME_CONFIG, AV1E_SET_TILE_COLUMNS, AV1E_SET_TRANSFER_CHARACTERISTICS,
    AV1E_SET_TUNE_CONTENT, aom_active_map, aom_codec_av1_cx, aom_codec_control, aom_codec_ctx,
    aom_codec_destroy, aom_codec_enc_cfg, aom_codec_enc_config_default, aom_codec_enc_init_ver,
    aom_codec_encode, aom_codec_err_t, aom_codec_get_cx_data, aom_codec_get_preview_frame,
    aom_image, aom_svc_ref_frame_config,
};

/// A call into the library that reported an error: its name and what it returned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub call: &'static str,
    pub code: i64,
}

fn check(call: &'static str, code: aom_codec_err_t) -> Result<(), Failure> {
    if code == AOM_CODEC_OK { Ok(()) } else { Err(Failure { call, code: code.into() }) }
}

/// What an instance is made for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub width: u32,
    pub height: u32,
    /// Chroma at full size (profile 1) instead of half both ways (profile 0).
    pub full_chroma: bool,
    pub max_fps: u32,
    pub threads: u32,
    /// The library's: 5 (best) to 12 (fastest).
    pub speed: u32,
    pub kbps: u32,
}

impl Setup {
    /// Width and height of Y, U or V, in samples.
    fn plane(&self, at: usize) -> (usize, usize) {
        let shift = u32::from(at > 0 && !self.full_chroma);
        let half = |length: u32| ((length + shift) >> shift) as usize;
        (half(self.width), half(self.height))
    }
}

/// A picture to code.
pub(super) struct Source<'a> {
    /// Each with its stride.
    pub planes: [(&'a [u8], usize); 3],
    /// Microseconds; must grow from picture to picture.
    pub time: i64,
    pub key_frame: bool,
    /// 0 to 63.
    pub quantizer: u8,
    /// For each block of 16x16 samples, row by row, 0 if it is to stay as it is. Ignored for a key frame.
    pub active: &'a mut [u8],
    /// What to refer to and to keep, if that is not left to the library.
    pub references: Option<References>,
}

/// A picture refers to the one before it, which is in the first of the viewer's eight buffers, or to a kept one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct References {
    pub from: Option<Slot>,
    /// The picture stays there as well.
    pub keep: Option<Slot>,
    /// The picture stays nowhere: it is of the upper layer.
    pub discardable: bool,
}

/// Where one temporal unit is put.
#[derive(Debug, Default)]
pub(super) struct Unit {
    pub data: Vec<u8>,
    pub key_frame: bool,
}

/// Rows of 8-bit samples, this many bytes apart.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub data: &'a [u8],
    pub stride: usize,
}

/// An encoder instance of the library.
pub(super) struct Library {
    context: Box<aom_codec_ctx>,
    setup: Setup,
}

// SAFETY: an instance has no thread affinity (its worker threads are its own and are joined when it is destroyed), and
// every call that touches it takes `&mut self`.
unsafe impl Send for Library {}

impl Library {
    pub(super) fn new(setup: Setup) -> Result<Library, Failure> {
        let mut config = MaybeUninit::<aom_codec_enc_cfg>::uninit();
        // SAFETY: the interface is static, and `config` is a valid place for it to write its defaults to.
        check("aom_codec_enc_config_default", unsafe {
            aom_codec_enc_config_default(
                aom_codec_av1_cx(),
                config.as_mut_ptr(),
                AOM_USAGE_REALTIME,
            )
        })?;
        // SAFETY: the call above succeeded and has initialised all of it.
        let mut config = unsafe { config.assume_init() };
        configure(&mut config, &setup);
        let mut context = Box::new(MaybeUninit::<aom_codec_ctx>::zeroed());
        // SAFETY: both pointers are valid; the library overwrites `context`, which as plain C data may be zero before.
        check("aom_codec_enc_init_ver", unsafe {
            aom_codec_enc_init_ver(
                context.as_mut_ptr(),
                aom_codec_av1_cx(),
                &raw const config,
                0,
                AOM_ENCODER_ABI_VERSION as c_int,
            )
        })?;
        // SAFETY: zeroed and then initialised by the successful call above.
        let context = unsafe { context.assume_init() };
        let mut library = Library { context, setup };
        library.tune()?;
        Ok(library)
    }

    /// What is not in the configuration. What costs time and gains nothing on screens is off.
    fn tune(&mut self) -> Result<(), Failure> {
        let columns = self.setup.threads.min(self.setup.width / 256).max(1).ilog2();
        let settings = [
            (AOME_SET_CPUUSED, self.setup.speed),
            (AV1E_SET_TUNE_CONTENT, AOM_CONTENT_SCREEN),
            (AV1E_SET_SUPERBLOCK_SIZE, AOM_SUPERBLOCK_SIZE_64X64),
            (AV1E_SET_ENABLE_PALETTE, 1),
            (AV1E_SET_AQ_MODE, 0),
            (AV1E_SET_DELTAQ_MODE, 0),
            (AV1E_SET_ROW_MT, u32::from(self.setup.threads > 1)),
            (AV1E_SET_TILE_COLUMNS, columns),
            (AV1E_SET_CDF_UPDATE_MODE, 1),
            (AV1E_SET_COEFF_COST_UPD_FREQ, 3),
            (AV1E_SET_MODE_COST_UPD_FREQ, 3),
            (AV1E_SET_MV_COST_UPD_FREQ, 3),
            (AV1E_SET_ENABLE_CDEF, 0),
            (AV1E_SET_ENABLE_RESTORATION, 0),
            (AV1E_SET_ENABLE_OBMC, 0),
            (AV1E_SET_ENABLE_WARPED_MOTION, 0),
            (AV1E_SET_ENABLE_GLOBAL_MOTION, 0),
            (AV1E_SET_ENABLE_REF_FRAME_MVS, 0),
            (AV1E_SET_ENABLE_ORDER_HINT, 0),
            (AV1E_SET_ENABLE_TPL_MODEL, 0),
            (AV1E_SET_ENABLE_CFL_INTRA, 0),
            (AV1E_SET_COLOR_PRIMARIES, AOM_CICP_CP_BT_709),
            (AV1E_SET_TRANSFER_CHARACTERISTICS, AOM_CICP_TC_BT_709),
            (AV1E_SET_MATRIX_COEFFICIENTS, AOM_CICP_MC_BT_709),
            (AV1E_SET_COLOR_RANGE, AOM_CR_STUDIO_RANGE),
        ];
        settings.into_iter().try_for_each(|(control, value)| self.control(control, value))
    }

    /// For controls that take an `int` or an `unsigned int`, which pass alike.
    fn control(&mut self, control: c_uint, value: u32) -> Result<(), Failure> {
        // SAFETY: the instance is live, and every caller names a control that takes a 32-bit integer.
        check("aom_codec_control", unsafe {
            aom_codec_control(&raw mut *self.context, control as c_int, value as c_int)
        })
    }

    /// Sets the speed of the pictures to come.
    pub(super) fn set_speed(&mut self, speed: u32) -> Result<(), Failure> {
        if self.setup.speed != speed {
            self.control(AOME_SET_CPUUSED, speed)?;
            self.setup.speed = speed;
        }
        Ok(())
    }

    /// Codes one picture into `unit`, whose former contents are dropped.
    pub(super) fn encode(&mut self, source: Source<'_>, unit: &mut Unit) -> Result<(), Failure> {
        let image = self.image(&source.planes);
        self.control(AV1E_SET_QUANTIZER_ONE_PASS, source.quantizer.into())?;
        if !source.key_frame {
            self.set_active(source.active)?;
        }
        if let Some(references) = source.references {
            self.set_references(references)?;
        }
        let flags = if source.key_frame { AOM_EFLAG_FORCE_KF } else { 0 };
        let duration = u64::from(1_000_000 / self.setup.max_fps);
        // SAFETY: the instance is live. `image` was checked to describe planes that hold the picture; the library reads
        // them during the call only, as it has a copy of its own of what it needs later.
        check("aom_codec_encode", unsafe {
            aom_codec_encode(
                &raw mut *self.context,
                &raw const image,
                source.time,
                duration,
                flags.into(),
            )
        })?;
        self.copy_out(unit);
        Ok(())
    }

    fn set_active(&mut self, active: &mut [u8]) -> Result<(), Failure> {
        let (rows, cols) = (self.setup.height.div_ceil(16), self.setup.width.div_ceil(16));
        assert_eq!(active.len(), (rows * cols) as usize, "a flag for each block");
        let mut map = aom_active_map { active_map: active.as_mut_ptr(), rows, cols };
        // SAFETY: the instance is live, this control takes an `aom_active_map`, and the flags, as many as it says, are
        // only read, during the call.
        check("aom_codec_control", unsafe {
            aom_codec_control(&raw mut *self.context, AOME_SET_ACTIVEMAP as c_int, &raw mut map)
        })
    }

    fn set_references(&mut self, references: References) -> Result<(), Failure> {
        let References { from, keep, discardable } = references;
        let buffer = |slot: Slot| 1 + slot as usize;
        let from = from.map_or(0, buffer) as c_int;
        let mut config = aom_svc_ref_frame_config {
            // The first of seven references, which the library calls LAST.
            reference: [1, 0, 0, 0, 0, 0, 0],
            // Only buffers that are named here can be filled.
            ref_idx: [from, 0, 1, 2, from, from, from],
            refresh: [(!discardable).into(), 0, 0, 0, 0, 0, 0, 0],
        };
        if let Some(slot) = keep {
            config.refresh[buffer(slot)] = 1;
        }
        let control = AV1E_SET_SVC_REF_FRAME_CONFIG as c_int;
        // SAFETY: the instance is live, and this control takes an `aom_svc_ref_frame_config`, which is only read, during the
        // call.
        check("aom_codec_control", unsafe {
            aom_codec_control(&raw mut *self.context, control, &raw mut config)
        })
    }

    /// # Panics
    /// When a plane is too small for the picture.
    fn image(&self, planes: &[(&[u8], usize); 3]) -> aom_image {
        let Setup { width, height, full_chroma, .. } = self.setup;
        let shift = u32::from(!full_chroma);
        // SAFETY: plain C data, for which zeros are valid: null pointers and numbers.
        let mut image: aom_image = unsafe { MaybeUninit::zeroed().assume_init() };
        image.fmt = if full_chroma { AOM_IMG_FMT_I444 } else { AOM_IMG_FMT_I420 };
        image.cp = AOM_CICP_CP_BT_709;
        image.tc = AOM_CICP_TC_BT_709;
        image.mc = AOM_CICP_MC_BT_709;
        image.range = AOM_CR_STUDIO_RANGE;
        (image.w, image.h) = (width, height);
        (image.d_w, image.d_h) = (width, height);
        image.bit_depth = 8;
        image.bps = if full_chroma { 24 } else { 12 };
        (image.x_chroma_shift, image.y_chroma_shift) = (shift, shift);
        for (at, (plane, stride)) in planes.iter().enumerate() {
            let (width, height) = self.setup.plane(at);
            assert!(*stride >= width && plane.len() >= stride * height, "plane {at} is too small");
            image.planes[at] = plane.as_ptr().cast_mut();
            image.stride[at] = *stride as c_int;
        }
        image
    }

    /// The picture as the viewer has it after the last [`Library::encode`]: Y, U, V; `None` before the first.
    pub(super) fn shown(&mut self) -> Option<[Rows<'_>; 3]> {
        // SAFETY: the instance is live.
        let image = unsafe { aom_codec_get_preview_frame(&raw mut *self.context) };
        // SAFETY: an image that is not null belongs to the instance and is valid until the next call on it, which the
        // borrow of `self` by what is returned here rules out.
        let image = unsafe { image.as_ref() }?;
        Some([0, 1, 2].map(|at| {
            let (width, height) = self.setup.plane(at);
            let stride = image.stride[at] as usize;
            let length = stride * (height - 1) + width;
            // SAFETY: as above, and the library keeps a whole picture of the size that it was set up with, up to the last
            // sample of its last row at least.
            let data = unsafe { std::slice::from_raw_parts(image.planes[at], length) };
            Rows { data, stride }
        }))
    }

    fn copy_out(&mut self, unit: &mut Unit) {
        unit.data.clear();
        unit.key_frame = false;
        let mut iterator = null();
        loop {
            // SAFETY: the instance is live and `iterator` was null at first, as the library wants it.
            let packet =
                unsafe { aom_codec_get_cx_data(&raw mut *self.context, &raw mut iterator) };
            // SAFETY: a packet that is not null is valid until the next call on the instance.
            let Some(packet) = (unsafe { packet.as_ref() }) else { return };
            if packet.kind != AOM_CODEC_CX_FRAME_PKT {
                continue;
            }
            // SAFETY: this is the variant of the union that the packet's kind names.
            let frame = unsafe { packet.data.frame };
            // SAFETY: the library gives a buffer of `sz` bytes, valid until the next call on the instance.
            let bytes = unsafe { std::slice::from_raw_parts(frame.buf.cast::<u8>(), frame.sz) };
            unit.data.extend_from_slice(bytes);
            unit.key_frame |= frame.flags & AOM_FRAME_IS_KEY != 0;
        }
    }
}

fn configure(config: &mut aom_codec_enc_cfg, setup: &Setup) {
    config.g_w = setup.width;
    config.g_h = setup.height;
    config.g_profile = setup.full_chroma.into();
    config.g_threads = setup.threads;
    config.g_timebase.num = 1;
    config.g_timebase.den = 1_000_000;
    config.g_lag_in_frames = 0;
    config.g_error_resilient = 0;
    config.kf_mode = AOM_KF_DISABLED;
    // Our own rate control sets the quantizer of each picture.
    config.rc_end_usage = AOM_CBR;
    config.rc_target_bitrate = setup.kbps;
    config.rc_dropframe_thresh = 0;
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: the instance is live and is not used again. The only failure is of an instance that was not made.
        unsafe { aom_codec_destroy(&raw mut *self.context) };
    }
}
