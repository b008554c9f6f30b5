//! Parameter sets and slice headers (ITU-T H.264, clauses 7.3.2.1, 7.3.2.2, 7.3.3 and annex E).

use farpane_pixel::convert::Chroma;

use super::bits::Bits;
use crate::Slot;
use crate::h264::Format;

/// The quantizer that slices say theirs relative to.
const INITIAL_QUANTIZER: i32 = 26;
const FRAME_NUMBER_BITS: u32 = 16;
/// Where the last picture is when it is in no slot.
const RUNNING: LongTerm = LongTerm(Slot::ALL.len() as u32);
/// Long-term pictures, and room for what a decoder puts in place of pictures that it lacks (clause 8.2.5.2).
const REFERENCES: u32 = RUNNING.0 + 2;

/// cabac_init_idc, by which P slices choose how contexts start: no other makes a difference of more than 1 in 1,000.
const CABAC_INIT: u32 = 0;

/// A LongTermFrameIdx, by which all pictures are kept. The first ones fill all of them: whoever has a later one has as many
/// long-term pictures whatever got lost since, and no more room for others than the standard allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LongTerm(u32);

impl LongTerm {
    /// Where the picture goes that is the `number`th since the key frame, and whether it is kept in `slot` there.
    pub(super) fn new(number: u32, slot: Option<Slot>) -> (LongTerm, Option<Slot>) {
        if number <= RUNNING.0 {
            return (LongTerm(number), None);
        }
        (slot.map_or(RUNNING, LongTerm::of), slot)
    }

    pub(super) fn of(slot: Slot) -> LongTerm {
        LongTerm(slot as u32)
    }
}

/// Writes a sequence parameter set: constrained baseline or, for 4:4:4, High 4:4:4 Predictive; BT.709 limited range, no
/// reordering.
pub(super) fn sequence(bits: &mut Bits, format: &Format) {
    let Format { coded: size, chroma, level, keeps, .. } = *format;
    let references = if keeps { REFERENCES } else { 1 };
    let (profile, constraints) = match chroma {
        Chroma::Yuv420 => (66, 0b1110_0000), // constraint_set0_flag to constraint_set2_flag
        Chroma::Yuv444 => (244, 0),
    };
    bits.put(profile, 8);
    bits.put(constraints, 8);
    bits.put(u32::from(level), 8);
    bits.ue(0); // seq_parameter_set_id
    if chroma == Chroma::Yuv444 {
        bits.ue(3); // chroma_format_idc
        bits.put(0, 1); // separate_colour_plane_flag
        bits.ue(0); // bit_depth_luma_minus8
        bits.ue(0); // bit_depth_chroma_minus8
        bits.put(0b00, 2); // qpprime_y_zero_transform_bypass_flag, seq_scaling_matrix_present_flag
    }
    bits.ue(FRAME_NUMBER_BITS - 4);
    bits.ue(2); // pic_order_cnt_type: as coded
    bits.ue(references); // max_num_ref_frames
    // A viewer who lacks pictures goes on from one kept before them.
    bits.put(u32::from(keeps), 1); // gaps_in_frame_num_value_allowed_flag
    let blocks = |length: u32| length.div_ceil(16);
    bits.ue(blocks(size.width) - 1);
    bits.ue(blocks(size.height) - 1);
    bits.put(0b11, 2); // frame_mbs_only_flag, direct_8x8_inference_flag
    let cut = |length: u32| (blocks(length) * 16 - length) / chroma.factor();
    bits.put(u32::from(cut(size.width) + cut(size.height) > 0), 1); // frame_cropping_flag
    if cut(size.width) + cut(size.height) > 0 {
        [0, cut(size.width), 0, cut(size.height)].into_iter().for_each(|cut| bits.ue(cut));
    }
    bits.put(1, 1); // vui_parameters_present_flag
    bits.put(0b00, 2); // aspect_ratio_info_present_flag, overscan_info_present_flag
    bits.put(1, 1); // video_signal_type_present_flag
    bits.put(5, 3); // video_format: unspecified
    bits.put(0, 1); // video_full_range_flag
    bits.put(1, 1); // colour_description_present_flag
    (0..3).for_each(|_| bits.put(1, 8)); // primaries, transfer and matrix of BT.709
    bits.put(0, 1); // chroma_loc_info_present_flag
    bits.put(0, 1); // timing_info_present_flag
    bits.put(0b000, 3); // nal_hrd_ and vcl_hrd_parameters_present_flag, pic_struct_present_flag
    bits.put(1, 1); // bitstream_restriction_flag
    bits.put(1, 1); // motion_vectors_over_pic_boundaries_flag
    [0, 0, 16, 16].into_iter().for_each(|limit| bits.ue(limit));
    bits.ue(0); // max_num_reorder_frames
    bits.ue(references); // max_dec_frame_buffering
    bits.end();
}

/// How a picture's macroblocks become bits; each has a picture parameter set, as a picture may have but one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Variable = 0,
    Arithmetic = 1,
}

/// Writes the picture parameter set of `coding`.
pub(super) fn picture(bits: &mut Bits, coding: Coding) {
    bits.ue(coding as u32); // pic_parameter_set_id
    bits.ue(0); // seq_parameter_set_id
    bits.put(coding as u32, 1); // entropy_coding_mode_flag
    bits.put(0, 1); // bottom_field_pic_order_in_frame_present_flag
    bits.ue(0); // num_slice_groups_minus1
    bits.ue(0); // num_ref_idx_l0_default_active_minus1
    bits.ue(0); // num_ref_idx_l1_default_active_minus1
    bits.put(0, 3); // weighted_pred_flag, weighted_bipred_idc
    bits.se(0); // pic_init_qp_minus26
    bits.se(0); // pic_init_qs_minus26
    // chroma_qp_index_offset: in 4:4:4 no other gives better colours for the bits.
    bits.se(0);
    bits.put(0b100, 3); // deblocking_filter_control_present_flag, constrained_intra_pred_flag, redundant_pic_cnt_present_flag
    bits.end();
}

/// A picture, as its slices say it.
#[derive(Clone, Copy, Debug)]
pub(super) struct PictureHeader {
    /// Tells a key frame from the one before it.
    pub(super) key_frame: Option<u32>,
    /// Pictures since the key frame.
    pub(super) number: u32,
    pub(super) quantizer: u8,
    pub(super) coding: Coding,
    /// Where the picture is that it refers to, and where it goes itself, unless nothing but the last one is kept.
    pub(super) refers: Option<LongTerm>,
    pub(super) becomes: Option<LongTerm>,
}

impl PictureHeader {
    /// nal_ref_idc and nal_unit_type.
    pub(super) fn nal(&self) -> u8 {
        if self.key_frame.is_some() { 0x65 } else { 0x61 }
    }

    /// Writes the header of the slice that starts with macroblock `first`.
    pub(super) fn write(&self, bits: &mut Bits, first: usize) {
        bits.ue(first as u32);
        bits.ue(if self.key_frame.is_some() { 7 } else { 5 }); // slice_type: I or P, as all of the picture
        bits.ue(self.coding as u32); // pic_parameter_set_id
        bits.put(self.number & ((1 << FRAME_NUMBER_BITS) - 1), FRAME_NUMBER_BITS);
        match self.key_frame {
            Some(id) => {
                bits.ue(id); // idr_pic_id
                bits.put(0, 1); // no_output_of_prior_pics_flag
                bits.put(u32::from(self.becomes.is_some()), 1); // long_term_reference_flag
            }
            None => {
                bits.put(0, 1); // num_ref_idx_active_override_flag
                self.write_reference(bits);
                self.write_marking(bits);
                if self.coding == Coding::Arithmetic {
                    bits.ue(CABAC_INIT);
                }
            }
        }
        bits.se(i32::from(self.quantizer) - INITIAL_QUANTIZER);
        bits.ue(1); // disable_deblocking_filter_idc
    }

    /// ref_pic_list_modification (clause 7.3.3.1).
    fn write_reference(&self, bits: &mut Bits) {
        bits.put(u32::from(self.refers.is_some()), 1); // ref_pic_list_modification_flag_l0
        if let Some(LongTerm(index)) = self.refers {
            bits.ue(2); // modification_of_pic_nums_idc: a long-term picture
            bits.ue(index); // long_term_pic_num
            bits.ue(3); // that is all
        }
    }

    /// dec_ref_pic_marking (clause 7.3.3.3).
    fn write_marking(&self, bits: &mut Bits) {
        bits.put(u32::from(self.becomes.is_some()), 1); // adaptive_ref_pic_marking_mode_flag
        if let Some(LongTerm(index)) = self.becomes {
            // Every time, as the viewer may lack the picture that said so first.
            bits.ue(4); // memory_management_control_operation: so many long-term pictures
            bits.ue(RUNNING.0 + 1); // max_long_term_frame_idx_plus1
            bits.ue(6); // this picture becomes one
            bits.ue(index); // long_term_frame_idx
            bits.ue(0); // that is all
        }
    }
}
